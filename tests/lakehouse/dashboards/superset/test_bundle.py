from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from lakehouse.dashboards.superset import bundle
from lakehouse.dashboards.superset.lint import lint

from .conftest import FILES, Lint, said

METADATA = {"metadata.yaml": "version: 1.0.0\ntype: Dashboard\n"}


def packed(path: Path, files: dict[str, str], root: str = "dashboard_export_1/") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(name if name.startswith(("/", "..")) else root + name, text)
    return path


def test_a_zip_file_reads_like_its_folder(tmp_path):
    path = packed(tmp_path / "a.zip", {**FILES, **METADATA, "charts/.DS_Store": "\0", "charts/_old.yaml": "[", "notes.txt": "hello"})
    assert lint(path) == []
    path = packed(tmp_path / "b.zip", {**FILES, **METADATA, "charts/volume.yaml": "viz_type: [\n"})
    assert said(lint(path)) == ["volume.yaml:2 yaml", "board.yaml:20 dangling"]


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("name", "rule"),
    [
        pytest.param("../../etc/cron.d/x.yaml", "path", id="a name with dots"),
        pytest.param("/etc/x.yaml", "path", id="an absolute name"),
        pytest.param("charts/..\\x.yaml", "path", id="a backslash"),
    ],
)
def test_a_zip_entry_that_would_be_written_outside_is_refused(tmp_path, name: str, rule: str):
    findings = lint(packed(tmp_path / "a.zip", {**FILES, **METADATA, name: "a: 1"}))
    assert [finding.rule for finding in findings] == [rule]
    assert name in str(findings[0])


@pytest.mark.fault(18)
def test_a_link_in_a_zip_file_is_refused(tmp_path):
    path = packed(tmp_path / "a.zip", {**FILES, **METADATA})
    with zipfile.ZipFile(path, "a") as archive:
        link = zipfile.ZipInfo("dashboard_export_1/charts/link.yaml")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "/etc/passwd")
    assert [finding.rule for finding in lint(path)] == ["path"]


@pytest.mark.fault(18)
def test_a_link_out_of_a_folder_is_not_followed(broken: Lint, tmp_path):
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "link.yaml").symlink_to("/etc/passwd")
    assert said(broken()) == ["link.yaml:1 path"]


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("limit", "value", "words"),
    [
        pytest.param("MAX_FILE_BYTES", 650, "has 6", id="a large entry"),
        pytest.param("MAX_FILES", 4, "5 entries", id="many entries"),
        pytest.param("MAX_BYTES", 1000, "entries of", id="large entries together"),
        pytest.param("MAX_RATIO", 1, "times its size", id="a bomb"),
    ],
)
def test_a_zip_file_beyond_a_limit_is_not_unpacked(tmp_path, monkeypatch, limit: str, value: int, words: str):
    path = packed(tmp_path / "a.zip", {**FILES, **METADATA})
    monkeypatch.setattr(bundle, limit, value)
    findings = [finding for finding in lint(path) if finding.rule == "too-large"]
    assert len(findings) == 1
    assert words in findings[0].message


@pytest.mark.fault(18)
def test_a_folder_beyond_a_limit_is_not_read_on(broken: Lint, monkeypatch):
    monkeypatch.setattr(bundle, "MAX_FILES", 3)
    assert [finding.rule for finding in broken() if "more than 3 files" in finding.message] == ["too-large"]
    monkeypatch.setattr(bundle, "MAX_FILES", 100)
    monkeypatch.setattr(bundle, "MAX_FILE_BYTES", 650)
    assert [finding.rule for finding in broken() if finding.rule == "too-large"] == ["too-large"]


@pytest.mark.fault(18)
@pytest.mark.parametrize(
    ("text", "words"),
    [
        pytest.param(b"slice_name: \xff\n", "not UTF-8", id="not UTF-8"),
        pytest.param(b"a: &a [*a]\n", "aliases", id="an alias of itself"),
        pytest.param(
            b"a: &a [1, 1]\n" + b"".join(b"%c: &%c [%s]\n" % (i + 1, i + 1, b", ".join([b"*%c" % i] * 10)) for i in range(97, 104)),
            "aliases",
            id="a billion laughs",
        ),
        pytest.param(b"[" * 100_000, "not YAML", id="nested without end"),
        pytest.param(b"a: " + b"[" * 900 + b"]" * 900, "YAML", id="nested deep"),
        pytest.param(b"a: 2024-99-99\n", "month must be", id="a date that is none"),
        pytest.param(b"a: !!python/object/apply:os.system [ls]\n", "could not determine a constructor", id="a Python object"),
        pytest.param(b"a: 1\n---\nb: 2\n", "not YAML", id="two documents"),
        pytest.param(b"a: 1\0\n", "not YAML", id="a NUL"),
        pytest.param(b"? [a]\n: 1\n", "not YAML", id="a list as a key"),
        pytest.param(b"slice_name: {{ name }}\na: {% if b %}\n", "render it first", id="a template"),
    ],
)
def test_a_file_that_cannot_be_read_is_a_finding_and_no_crash(tmp_path, text: bytes, words: str):
    (tmp_path / "charts").mkdir()
    (tmp_path / "charts" / "a.yaml").write_bytes(text)
    findings = lint(tmp_path)
    assert any(words in finding.message for finding in findings)


def test_a_file_that_is_no_zip_file_is_a_finding(tmp_path):
    (tmp_path / "a.zip").write_bytes(b"PK\x03\x04 but no more")
    assert [finding.rule for finding in lint(tmp_path / "a.zip")] == ["zip"]


def test_a_zip_file_whose_entry_is_damaged_is_a_finding(tmp_path):
    path = packed(tmp_path / "a.zip", {**METADATA, **FILES})
    content = bytearray(path.read_bytes())
    at = content.find(b"charts/volume.yaml") + 60
    content[at : at + 20] = b"\0" * 20
    path.write_bytes(bytes(content))
    assert "zip" in [finding.rule for finding in lint(path)]


def test_a_zip_file_without_its_first_folder_is_one_that_superset_would_not_read(tmp_path):
    findings = lint(packed(tmp_path / "a.zip", {**FILES, **METADATA}, root=""))
    assert [finding.rule for finding in findings] == ["metadata"]
    assert "first folder" in findings[0].message
