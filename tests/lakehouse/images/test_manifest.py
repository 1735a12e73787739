from __future__ import annotations

import csv
import io
import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lakehouse.images.manifest import BadLine, ManifestEntry, read_manifest

URL = "https://images.example.org/a.png"
TAGS, SYSTEMS = ("product", "user", "analytics"), ("manual", "batch", "api")
DEFAULTS = {"tag": "product", "source_system": "batch", "licence": None}


def read(manifest, **options):
    return list(read_manifest(manifest, **{"tags": TAGS, "source_systems": SYSTEMS, "defaults": DEFAULTS} | options))


def refused(manifest, **options):
    return [(line.line, line.reason) for line in read(manifest, **options) if isinstance(line, BadLine)]


@pytest.mark.parametrize(
    "manifest",
    [
        pytest.param(b"url,tag,source_system,licence\n%s,user,api,CC0\n", id="CSV"),
        pytest.param(b"\xef\xbb\xbfurl,tag,source_system,licence\r\n%s,user,api,CC0\r\n", id="CSV as a spreadsheet writes it"),
        pytest.param(b'licence, url ,source_system,tag\n"CC0"," %s ",api,user', id="other order, quotes, spaces, no last line break"),
        pytest.param(b'{"n": 1}\n{"url": "%s", "tag": "user", "source_system": "api", "licence": "CC0"}\n', id="JSON lines"),
        pytest.param(b'\xef\xbb\xbf\r\n{"licence":"CC0","url":"%s","tag":"user","source_system":"api"}\r\n', id="JSON lines with a mark"),
    ],
)
def test_both_forms_give_the_same_entry(manifest):
    (*_, entry) = read(manifest % URL.encode())
    assert entry == ManifestEntry(2, URL, "user", "api", "CC0")
    assert read(io.BytesIO(manifest % URL.encode()))[-1] == entry


def test_what_a_line_leaves_out_comes_from_the_defaults():
    assert read(f"url,licence\n{URL},\n".encode()) == [ManifestEntry(2, URL, "product", "batch", None)]
    line = json.dumps({"url": URL, "tag": None, "licence": ""}).encode()
    assert read(line, defaults=DEFAULTS | {"licence": "CC0"}) == [ManifestEntry(1, URL, "product", "batch", "CC0")]
    assert refused(line, defaults={}) == [(1, "bad_tag")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b",user,api,", "bad_url", id="no URL"),
        pytest.param(b"https://x/b,secret,api,", "bad_tag", id="a tag that there is not"),
        pytest.param(b"https://x/b,user,fax,", "bad_source_system", id="a source system that there is not"),
        pytest.param(b"https://x/b,user,api," + b"x" * 201, "bad_licence", id="a licence as long as its text"),
        pytest.param(b"https://x/b,user,api,a\x1b[31mb", "bad_licence", id="a licence that colours the terminal"),
        pytest.param(b"https://x/b,user", "not_csv", id="too few fields"),
        pytest.param(b"https://x/b,user,api,a,b", "not_csv", id="too many fields"),
        pytest.param(b'https://x/b,user,api,"a', "not_csv", id="a quote that stays open"),
        pytest.param(b"https://x/b,user,api,\xff", "not_utf8", id="bytes that are not UTF-8"),
        pytest.param(b"https://x/b,user,api," + b"x" * 9_000, "line_too_long", id="a line that is too long"),
        pytest.param(b'{"url": "https://x/b"}', "not_csv", id="JSON in CSV"),
        pytest.param(b"https://images.example.org/a.png,,,", "duplicate", id="a URL a second time"),
    ],
)
def test_a_bad_line_of_csv_is_refused_with_its_number_and_the_others_go_on(line, reason):
    found = read(b"url,tag,source_system,licence\n" + URL.encode() + b",,,\n\n" + line + b"\n" + b"https://x/c,,,\n")
    assert [type(entry) for entry in found] == [ManifestEntry, BadLine, ManifestEntry]
    assert (found[1].line, found[1].reason, found[2].line) == (4, reason, 5)
    assert found[1].detail.startswith("line 4: ")
    assert len(found[1].detail) <= 200


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        pytest.param(b'{"url": "https://x/b"', "not_json", id="cut off"),
        pytest.param(b'["https://x/b"]', "not_json", id="an array"),
        pytest.param(b'{"url": 7}', "bad_url", id="a number"),
        pytest.param(b"{}", "bad_url", id="no URL"),
        pytest.param(b'{"url": "https://x/b", "tag": ["user"]}', "bad_tag", id="a list of tags"),
        pytest.param(b'{"url": "https://x/b", "colour": "red", "size": 3}', "unknown_column", id="columns that are not known"),
        pytest.param(b'{"url": ' * 1_000, "not_json", id="nested a thousand deep"),
        pytest.param(b"url,tag", "not_json", id="CSV in JSON lines"),
    ],
)
def test_a_bad_line_of_json_is_refused_with_its_number_and_the_others_go_on(line, reason):
    found = read(b'{"url": "https://x/a"}\n' + line + b'\n{"url": "https://x/c"}\n')
    assert [type(entry) for entry in found] == [ManifestEntry, BadLine, ManifestEntry]
    assert (found[1].line, found[1].reason, found[2].line) == (2, reason, 3)


def test_unknown_columns_are_named_once_with_those_that_are_known():
    (only,) = read(b"\nurl,licnce,colour\n" + b"https://x/a,CC0,red\n" * 100)
    assert only == BadLine(
        2,
        "bad_header",
        "line 2: unknown 'licnce', 'colour'; the columns are url, tag, source_system, licence; nothing of this manifest is read",
    )


@pytest.mark.parametrize(
    "header",
    [
        pytest.param(b"tag,licence", id="no url"),
        pytest.param(b"url,tag,url", id="a column twice"),
        pytest.param(b"url;tag", id="another separator"),
        pytest.param("url,tag".encode("utf-16"), id="UTF-16"),
        pytest.param(b"x" * 10_000, id="a header that is too long"),
        pytest.param(b'url,"tag', id="a quote that stays open"),
    ],
)
def test_a_header_that_is_no_use_ends_the_reading(header):
    assert refused(header + b"\nhttps://x/a,user\nhttps://x/b,user\n") == [(1, "bad_header")]


@pytest.mark.fault(23)
def test_no_secret_of_a_url_is_in_a_detail():
    url = b"https://u:hunter2@x.org/a?sig=hunter2"
    assert "hunter2" not in str(read(url + b",user\n" + url + b",user\n"))  # no header
    twice = [line for line in read(b"url,tag\n" + (url + b",user\n") * 2 + b"x," + url + b"\n") if isinstance(line, BadLine)]
    assert [line.reason for line in twice] == ["duplicate", "bad_tag"]
    assert twice[0].detail == "line 3: line 2 has the same URL: https://x.org/a"
    assert "hunter2" not in str(twice)


def test_no_more_lines_are_read_than_allowed():
    manifest = io.BytesIO(b"url\n" + b"".join(b"https://x/%d\n" % number for number in range(50_000)))
    found = read(manifest, max_lines=3)
    assert [entry.line for entry in found] == [2, 3, 4]
    assert found[-1].reason == "too_many_lines"
    assert manifest.tell() < 100


def test_a_line_is_as_long_as_allowed_or_refused():
    line = b'{"url": "https://x/a"}'
    for mark, end in ((b"", b""), (b"\xef\xbb\xbf", b"\r\n")):
        assert [type(entry) for entry in read(mark + line + end, max_line_bytes=len(line))] == [ManifestEntry]
        assert refused(mark + line + end, max_line_bytes=len(line) - 1) == [(1, "line_too_long")]


def test_a_line_without_end_is_not_held_in_memory(tmp_path):
    path = tmp_path / "endless.csv"
    with path.open("wb") as file:
        file.write(b"url\n")
        file.truncate(50_000_000)
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            assert refused(file) == [(2, "line_too_long")]
            assert tracemalloc.get_traced_memory()[1] < 2_000_000
        finally:
            tracemalloc.stop()


@given(lines=st.lists(st.binary(max_size=30).map(lambda line: line.replace(b"\n", b"")), max_size=8), json_lines=st.booleans())
def test_every_line_with_something_on_it_is_an_entry_or_refused(lines, json_lines):
    start = b'{"url": "x"}' if json_lines else b"url,tag"
    found = read(start + b"\n" + b"\n".join(lines))
    assert [entry.line for entry in found] == [1] * json_lines + [number for number, line in enumerate(lines, 2) if line.strip()]


@given(urls=st.lists(st.text(st.characters(exclude_categories=("C", "Z")), min_size=1, max_size=10), unique=True, max_size=5))
def test_what_a_csv_writer_wrote_comes_back(urls):
    out = io.StringIO()
    csv.writer(out).writerows([["url"], *([url] for url in urls)])
    assert [entry.url for entry in read(out.getvalue().encode())] == urls
