from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from xml.sax.saxutils import quoteattr

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from include.feeds.ticks import SCHEMA
from lakehouse.exceptions import ConfigurationError
from lakehouse.xml_ingest.parse import MAX_RECORD_BYTES, Feed, Record, RefusedFileError

pytestmark = pytest.mark.fault(29)

FEED = Feed(SCHEMA)
NAMESPACE = "urn:lakehouse:ticks:1"
VALUES = {
    "timestamp": "2026-11-20T14:30:00.000001Z",
    "symbol": "SPY25C400",
    "bid_price": "12.5",
    "bid_size": "3",
    "ask_price": "12.75",
    "ask_size": "4",
    "last_price": "12.6",
    "volume": "7",
    "exchange": "CBOE",
}
BIG = 64 << 20
MEBIBYTE = b"a" * (1 << 20)


def tick(content: str = "", **changes: str | None) -> str:
    """One record; a change to None leaves the attribute out."""
    attributes = " ".join(f"{name}={quoteattr(value)}" for name, value in (VALUES | changes).items() if value is not None)
    return f"<tick {attributes}>{content}</tick>" if content else f"<tick {attributes}/>"


def document(
    *records: str, declaration: str = '<?xml version="1.0" encoding="UTF-8"?>', before: str = "", namespace: str = NAMESPACE
) -> str:
    return "\n".join([declaration + before, f'<ticks xmlns="{namespace}" source="test">', *records, "</ticks>\n"])


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "feed.xml"


@pytest.fixture
def read(path: Path) -> Callable[[str | bytes], list[Record]]:
    def of(content: str | bytes) -> list[Record]:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return list(FEED.records(path))

    return of


@pytest.fixture
def refusal(path: Path) -> Callable[[str | bytes], RefusedFileError]:
    def of(content: str | bytes) -> RefusedFileError:
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        with pytest.raises(RefusedFileError) as caught:
            list(FEED.records(path))
        return caught.value

    return of


# What a good file gives.


def test_records_come_in_order_with_their_numbers_lines_and_values(read):
    records = read(document(tick(), "", tick(symbol="ESZ25C5000", last_price=None, exchange=None)))
    assert records == [
        Record(1, 3, VALUES, None),
        Record(
            2, 5, {name: value for name, value in VALUES.items() if name not in ("last_price", "exchange")} | {"symbol": "ESZ25C5000"}, None
        ),
    ]


def test_a_feed_names_its_attributes_in_the_order_of_its_schema():
    assert FEED.names == tuple(VALUES)


def test_a_file_without_a_record_is_no_error(read):
    assert read(document()) == []


def test_a_prefix_instead_of_a_default_namespace_makes_no_difference(read):
    text = (
        document(tick())
        .replace("<tick ", "<t:tick ")
        .replace("ticks", "t:ticks")
        .replace("xmlns=", "xmlns:t=")
        .replace(":t:ticks:", ":ticks:")
    )
    assert "<t:ticks xmlns:t=" in text
    assert read(text) == [Record(1, 3, VALUES, None)]


def test_comments_and_processing_instructions_are_read_over(read):
    assert [record.number for record in read(document("<!-- one -->", tick(), "<?two three?>", tick()))] == [1, 2]


def test_lines_are_exact_up_to_65534_and_numbers_for_ever(path):
    path.write_text(document("\n" * 65_528, *[tick()] * 9))
    records = list(FEED.records(path))
    assert [record.number for record in records] == list(range(1, 10))
    exact = [65_532 + number for number in range(9)]
    assert [record.line for record in records[:3]] == exact[:3]
    assert all(abs(record.line - line) <= 1 for record, line in zip(records, exact, strict=True))


# Encodings.


@pytest.mark.parametrize(
    ("encoding", "name"),
    [
        pytest.param("euc-kr", "EUC-KR", id="EUC-KR"),
        pytest.param("utf-16", "UTF-16", id="UTF-16 with its mark"),
        pytest.param("utf-8-sig", "UTF-8", id="UTF-8 with its mark"),
        pytest.param("iso-2022-kr", "ISO-2022-KR", id="shifts between alphabets"),
    ],
)
def test_an_encoding_that_is_declared_is_read(read, encoding, name):
    declared = f'<?xml version="1.0" encoding="{name}"?>'
    (record,) = read(document(tick(exchange="한국거래소"), declaration=declared).encode(encoding))
    assert (record.values["exchange"], record.problem) == ("한국거래소", None)


@pytest.mark.parametrize("mark", ["utf-16-le", "utf-16-be"])
def test_a_byte_order_mark_says_enough(read, mark):
    text = "\ufeff" + document(tick(exchange="한국거래소"), declaration="")
    assert [record.values["exchange"] for record in read(text.encode(mark))] == ["한국거래소"]


def test_an_encoding_that_nobody_knows_is_named(refusal):
    refused = refusal(document(tick(), declaration='<?xml version="1.0" encoding="x-klingon"?>'))
    assert refused.reason == "unknown_encoding"
    assert "x-klingon" in str(refused)


def test_bytes_that_are_not_of_the_declared_encoding_refuse_the_file(refusal):
    refused = refusal(document(tick(exchange="한국거래소")).encode("euc-kr"))
    assert refused.reason == "not_well_formed"


# What makes a file dangerous.


@pytest.fixture
def outside(serve) -> tuple[str, list[str]]:
    """The address of a server on loopback, and what was asked of it."""
    asked: list[str] = []

    def answer(method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        asked.append(path)
        return 200, {}, b'<!ENTITY leaked "leaked">'

    return serve(answer), asked


@pytest.mark.parametrize(
    ("doctype", "symbol"),
    [
        pytest.param('<!DOCTYPE ticks [<!ENTITY leak SYSTEM "%s/secret">]>', "&leak;", id="an entity"),
        pytest.param('<!DOCTYPE ticks [<!ENTITY %% leak SYSTEM "%s/secret"> %%leak;]>', "&leaked;", id="a parameter entity"),
        pytest.param('<!DOCTYPE ticks SYSTEM "%s/ticks.dtd">', "X", id="a DTD"),
        pytest.param('<!DOCTYPE ticks PUBLIC "-//lakehouse//ticks" "%s/ticks.dtd">', "X", id="a public DTD"),
        pytest.param('<!DOCTYPE ticks SYSTEM "%s/ticks.dtd" [<!ATTLIST tick exchange CDATA "leaked">]>', "X", id="a DTD with defaults"),
    ],
)
@pytest.mark.parametrize("place", ["attribute", "text"])
def test_nothing_outside_the_file_is_asked_for(outside, refusal, doctype, symbol, place):
    address, asked = outside
    record = tick(symbol="@") if place == "attribute" else tick(content="@")
    refused = refusal(document(record.replace("@", symbol), before="\n" + doctype % address))
    assert refused.reason in ("doctype", "not_well_formed")
    assert asked == []


@pytest.mark.parametrize("hint", ['xsi:schemaLocation="urn:x %s/x.xsd"', 'xsi:noNamespaceSchemaLocation="%s/x.xsd"'])
def test_a_schema_that_a_record_names_is_not_fetched(outside, read, hint):
    address, asked = outside
    declared = f'<tick xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" {hint % address} '
    (record,) = read(document(tick().replace("<tick ", declared)))
    assert record.problem is None
    assert asked == []


def test_a_file_of_the_machine_is_not_read_into_a_record_or_a_message(tmp_path, refusal):
    secret = tmp_path / "secret"
    secret.write_text("top-secret")
    for record in (tick(symbol="@"), tick(content="@")):
        doctype = f'\n<!DOCTYPE ticks [<!ENTITY leak SYSTEM "{secret.as_uri()}">]>'
        assert "top-secret" not in str(refusal(document(record.replace("@", "&leak;"), before=doctype)))


def test_xinclude_is_an_element_like_any_other(tmp_path, refusal):
    include = '<xi:include xmlns:xi="http://www.w3.org/2001/XInclude" href="/etc/hostname" parse="text"/>'
    assert refusal(document(include)).reason == "other_elements"


@pytest.mark.parametrize(
    "subset",
    [
        pytest.param("", id="an empty one"),
        pytest.param('[<!ENTITY a "b">]', id="a harmless entity"),
        pytest.param('[<!ATTLIST tick exchange CDATA "X">]', id="a default value"),
    ],
)
def test_a_document_type_is_refused_however_harmless(refusal, subset):
    refused = refusal(document(tick(), before=f"\n<!DOCTYPE ticks {subset}>"))
    assert refused.reason == "doctype"
    assert "document type" in str(refused)


@pytest.mark.parametrize("place", ["attribute", "text"])
def test_a_billion_laughs_are_not_laughed(path, place):
    laughs = '<!ENTITY l0 "lollollollollollol">' + "".join(f'<!ENTITY l{n} "{f"&l{n - 1};" * 10}">' for n in range(1, 12))
    record = tick(symbol="@") if place == "attribute" else tick(content="@")
    path.write_text(document(record.replace("@", "&l11;"), before=f"\n<!DOCTYPE ticks [{laughs}]>"))
    outcome, records, megabytes = measured(path)
    assert (outcome in ("doctype", "not_well_formed"), records) == (True, 0)
    assert megabytes < 16


@pytest.mark.parametrize("place", ["attribute", "text", "between records"])
def test_an_entity_that_is_not_declared_refuses_the_file(refusal, place):
    records = {"attribute": tick(symbol="@"), "text": tick(content="@"), "between records": "@"}
    assert refusal(document(tick(), records[place].replace("@", "&other;"))).reason == "not_well_formed"


# What makes a file unreadable.


def test_a_file_that_was_cut_off_after_a_record_is_called_so(refusal):
    whole = document(tick(), tick())
    for end in (whole.index("/>") + 2, whole.rindex("/>") + 2, whole.rindex("/>") + 3):
        assert refusal(whole[:end]).reason == "cut_off"


def test_a_file_that_was_cut_off_anywhere_is_refused(refusal):
    whole = document(tick(), tick())
    for end in range(1, len(whole) - 1):
        assert refusal(whole[:end]).reason in ("cut_off", "not_well_formed")


def test_a_file_that_was_cut_off_gives_up_after_the_records_before(path):
    path.write_text(document(tick(), tick(), tick())[:-40])
    records = FEED.records(path)
    assert [next(records).number for _ in range(2)] == [1, 2]
    with pytest.raises(RefusedFileError):
        next(records)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        pytest.param("", "empty", id="nothing"),
        pytest.param(" \n", "not_well_formed", id="blanks"),
        pytest.param("timestamp,symbol\n2026-11-20,SPY25C400\n", "not_well_formed", id="CSV"),
        pytest.param('{"ticks": []}', "not_well_formed", id="JSON"),
        pytest.param(b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "not_well_formed", id="gzip"),
        pytest.param("<html><body><p>503 Service Unavailable</p></body></html>", "other_elements", id="HTML"),
        pytest.param("<!doctype html><html><body><br></body></html>", "not_well_formed", id="HTML 5"),
        pytest.param(document(tick()) + "more", "not_well_formed", id="text after the end"),
        pytest.param(document(tick()) + document(tick(), declaration=""), "not_well_formed", id="two files in one"),
        pytest.param(document(tick(), "<tick", tick()), "not_well_formed", id="half a tag"),
        pytest.param(document(tick().replace("<tick ", '<tick symbol="twice" ')), "not_well_formed", id="an attribute twice"),
        pytest.param(document(tick().replace("CBOE", "a & b")), "not_well_formed", id="a bare ampersand"),
        pytest.param(document(tick().replace("CBOE", "\0")), "not_well_formed", id="NUL in an attribute"),
        pytest.param(document(tick().replace("CBOE", "&#0;")), "not_well_formed", id="NUL as a reference"),
        pytest.param(document(tick(), "\0", tick()), "not_well_formed", id="NUL between records"),
        pytest.param(document(tick()) + "\0" * 512, "not_well_formed", id="NUL after the end"),
        pytest.param(document(tick(), namespace="urn:lakehouse:ticks:2"), "other_elements", id="another version's namespace"),
        pytest.param(document(tick(), namespace=""), "other_elements", id="no namespace"),
        pytest.param(document(tick()).replace("ticks", "quotes").replace(":quotes:", ":ticks:"), "other_elements", id="another root"),
        pytest.param(tick().replace("<tick ", f'<tick xmlns="{NAMESPACE}" '), "other_elements", id="a record as the root"),
        pytest.param(document(tick(), "<quote/>", tick()), "other_elements", id="another element among the records"),
        pytest.param(
            document(tick(), tick().replace("<tick ", '<tick xmlns="urn:other" ')), "other_elements", id="a record of another namespace"
        ),
        pytest.param(document(tick(), document(tick(), declaration="")), "other_elements", id="a root within the root"),
        pytest.param(document(tick("<a>" * 300 + "</a>" * 300)), "not_well_formed", id="300 levels deep"),
    ],
)
def test_a_file_that_is_not_of_the_feed_is_refused_with_its_reason(refusal, content, reason):
    assert refusal(content).reason == reason


def test_another_root_or_element_is_named_with_its_line_and_what_is_wanted(refusal):
    text = str(refusal(document(tick(), "<quote/>")))
    assert "line 4" in text
    assert f"{{{NAMESPACE}}}quote" in text
    assert f"{{{NAMESPACE}}}tick is wanted" in text


def test_a_name_from_outside_is_cut_in_the_message(refusal):
    assert len(str(refusal(document("<" + "q" * 5000 + "/>")))) < 300


# What makes one record bad, and leaves the others alone.


@pytest.mark.parametrize(
    ("record", "word"),
    [
        pytest.param(tick(timestamp="2026-11-20T14:30:00"), "timestamp", id="a time without a zone"),
        pytest.param(tick(timestamp="2026-11-20T14:30:00.0000001Z"), "timestamp", id="a time in nanoseconds"),
        pytest.param(tick(timestamp="2026-02-30T14:30:00Z"), "timestamp", id="a day that is not in the calendar"),
        pytest.param(tick(timestamp="2026-11-20T23:59:60Z"), "timestamp", id="a leap second"),
        pytest.param(tick(timestamp="2026-11-20T14:30:00+15:00"), "timestamp", id="a zone that is nowhere"),
        pytest.param(tick(timestamp="1763649000"), "timestamp", id="seconds since 1970"),
        pytest.param(tick(timestamp="12026-11-20T14:30:00Z"), "timestamp", id="a year of five digits"),
        pytest.param(tick(timestamp="noon"), "timestamp", id="noon"),
        pytest.param(tick(bid_size="-5"), "bid_size", id="a negative size"),
        pytest.param(tick(ask_size="2147483648"), "ask_size", id="a size over 32 bits"),
        pytest.param(tick(volume="9223372036854775808"), "volume", id="a volume over 64 bits"),
        pytest.param(tick(volume="1.5"), "volume", id="half a contract"),
        pytest.param(tick(bid_price="-0.01"), "bid_price", id="a negative price"),
        pytest.param(tick(bid_price="NaN"), "bid_price", id="NaN"),
        pytest.param(tick(ask_price="INF"), "ask_price", id="infinity"),
        pytest.param(tick(ask_price="1e3"), "ask_price", id="an exponent"),
        pytest.param(tick(ask_price="12,5"), "ask_price", id="a comma"),
        pytest.param(tick(ask_price="1000000001"), "ask_price", id="a price beyond all markets"),
        pytest.param(tick(bid_size="\uff13"), "bid_size", id="a digit of another script"),
        pytest.param(tick(symbol=""), "symbol", id="an empty symbol"),
        pytest.param(tick(symbol="S" * 33), "symbol", id="a symbol of 33 characters"),
        pytest.param(tick(bid_size=None), "bid_size", id="a missing attribute"),
        pytest.param(tick(colour="red"), "colour", id="an attribute too many"),
        pytest.param(tick(source_file="mine"), "source_file", id="an attribute that is ours to fill"),
        pytest.param(tick("<note/>"), "content", id="an element within"),
        pytest.param(tick(tick()), "content", id="a record within"),
        pytest.param(tick("<a>" * 200 + "</a>" * 200), "content", id="200 levels deep"),
        pytest.param(tick("hello"), "content", id="text within"),
        pytest.param("<tick/>", "required", id="nothing"),
    ],
)
def test_one_bad_record_is_refused_singly_and_says_what_is_wrong(read, record, word):
    before, bad, after = read(document(tick(), record, tick()))
    assert (before.problem, after.problem) == (None, None)
    assert (before.number, bad.number, after.number, bad.line) == (1, 2, 3, 4)
    assert word in bad.problem
    assert len(bad.problem) <= 300


@pytest.mark.parametrize(
    "changes",
    [
        pytest.param({"timestamp": "2026-11-20T23:30:00+09:00"}, id="a time in Seoul"),
        pytest.param({"timestamp": "2026-11-20T14:30:00-00:00"}, id="minus zero"),
        pytest.param({"bid_size": "0", "ask_size": "2147483647", "volume": "9223372036854775807"}, id="the ends of the range"),
        pytest.param({"symbol": "S" * 32}, id="a symbol of 32 characters"),
        pytest.param({"bid_price": "0", "ask_price": "1000000000.000"}, id="the ends of a price"),
        pytest.param({"exchange": "<&'\">"}, id="characters that XML escapes"),
        pytest.param({"last_price": None, "exchange": None}, id="without what may be left out"),
    ],
)
def test_a_record_at_the_edge_of_what_is_allowed_is_taken(read, changes):
    (record,) = read(document(tick(**changes)))
    assert record.problem is None
    assert record.values == {name: value for name, value in (VALUES | changes).items() if value is not None}


CHARACTERS = st.characters(exclude_categories=("Cs",), exclude_characters="\ufffe\uffff").filter(lambda one: one >= " " or one in "\t\n\r")
TEXTS = st.text(CHARACTERS, max_size=40)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(records=st.lists(st.dictionaries(st.sampled_from([*VALUES, "colour"]), TEXTS), max_size=8))
@example(records=[VALUES, {"symbol": "]]>"}, {"symbol": "\t\n\r"}, {}, VALUES])
def test_whatever_text_a_record_has_comes_back_and_no_record_is_lost(path, records):
    lines = ("<tick " + " ".join(f"{name}={quoteattr(text)}" for name, text in record.items()) + "/>" for record in records)
    path.write_text(document(*lines), encoding="utf-8", newline="")
    found = list(FEED.records(path))

    def blanks_off(values: dict[str, str]) -> dict[str, str]:
        return {name: text.strip(" \t\r\n") for name, text in values.items()}

    wanted = [record if one.problem else blanks_off(record) for one, record in zip(found, records, strict=True)]
    assert [record.values for record in found] == wanted
    assert [record.number for record in found] == list(range(1, len(records) + 1))
    assert all(record.problem is None for record, values in zip(found, records, strict=True) if values == VALUES)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(good=st.lists(st.booleans(), min_size=1, max_size=30))
def test_bad_records_take_no_good_one_with_them(path, good):
    path.write_text(document(*(tick() if fine else tick(bid_size="many") for fine in good)))
    assert [record.problem is None for record in FEED.records(path)] == good


# Cut where the root's tag is, the rest of that tag is text between records.
REASONS_OF_DAMAGE = {"empty", "cut_off", "not_well_formed", "unknown_encoding", "other_elements", "text_between_records", "doctype"}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(content=b">", place=75)
@given(content=st.binary(max_size=200), place=st.integers(0, 600))
def test_bytes_that_are_damaged_give_records_or_a_refusal_and_nothing_else(path, content, place):
    whole = document(tick(), tick()).encode()
    path.write_bytes(whole[:place] + content + whole[place + len(content) :])
    try:
        assert all(isinstance(record, Record) for record in FEED.records(path))
    except RefusedFileError as error:
        assert error.reason in REASONS_OF_DAMAGE  # noqa: PT017


# What is taken here is to be taken by the loader too, and what is in the file is to be seen.


@pytest.mark.parametrize(
    ("name", "text"),
    [
        pytest.param("timestamp", "2026-11-20T24:00:00Z", id="the end of a day"),
        pytest.param("timestamp", " 2026-11-20T14:30:00Z", id="a time with a blank"),
        pytest.param("bid_size", "+3", id="a size with a sign"),
        pytest.param("bid_size", " 3 ", id="a size with blanks"),
        pytest.param("bid_price", "12.5\n", id="a price with a line end"),
    ],
)
def test_a_value_that_cannot_be_cast_is_refused_singly(read, name, text):
    (record,) = read(document(tick(**{name: text})))
    if record.problem is None:
        types = {"timestamp": pa.timestamp("us", "UTC"), "bid_size": pa.int32(), "bid_price": pa.float64()}
        pa.array([record.values[name]]).cast(types[name])


@pytest.mark.parametrize(
    "lost", [tick()[1:], tick().replace("<", "&lt;"), f"<![CDATA[{tick()}]]>"], ids=["a lost bracket", "escaped", "CDATA"]
)
def test_text_between_records_is_not_passed_over_in_silence(read, lost):
    with pytest.raises(RefusedFileError):
        read(document(tick(), lost, tick()))


# Memory.


def measured(path: Path) -> tuple[str, int, float]:
    """How a file ended, its records, and by how many megabytes a process of its own grew while it read them.

    libxml2's memory is not Python's: only the system sees it.
    """
    code = (
        "import sys\nfrom pathlib import Path\nfrom include.feeds.ticks import SCHEMA\n"
        "from lakehouse.xml_ingest.parse import Feed, RefusedFileError\n"
        "def peak():\n  return next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM'))\n"
        "feed, outcome, count = Feed(SCHEMA), 'read', 0\nbefore = peak()\n"
        "try:\n  for record in feed.records(Path(sys.argv[1])): count += 1\n"
        "except RefusedFileError as error: outcome = error.reason\n"
        "print(outcome, count, (peak() - before) / 1024)"
    )
    repository = Path(__file__).resolve().parents[3]
    done = subprocess.run([sys.executable, "-c", code, path], cwd=repository, capture_output=True, text=True, check=True)
    outcome, records, megabytes = done.stdout.split()
    return outcome, int(records), float(megabytes)


def written(path: Path, parts: Iterable[bytes]) -> Path:
    with path.open("wb") as file:
        file.write(f'<?xml version="1.0"?>\n<ticks xmlns="{NAMESPACE}">\n{tick()}\n'.encode())
        file.writelines(parts)
        file.write(b"</ticks>\n")
    return path


def huge(before: bytes, piece: bytes, after: bytes) -> Iterable[bytes]:
    yield before
    for _ in range(BIG // len(piece)):
        yield piece
    yield after


@pytest.mark.parametrize(
    "parts",
    [
        pytest.param((b'<tick symbol="', MEBIBYTE, b'"/>'), id="in an attribute"),
        pytest.param((b"<tick ", b" " * (1 << 20), b"/>"), id="between attributes"),
        pytest.param((b"<tick>", MEBIBYTE, b"</tick>"), id="in text"),
        pytest.param((b"<tick>", b"<a/>" * (1 << 18), b"</tick>"), id="in children"),
        pytest.param((b"<", MEBIBYTE, b"/>"), id="in a name"),
        pytest.param((b"<!--", MEBIBYTE, b"-->"), id="in a comment"),
        pytest.param((b"", MEBIBYTE, b""), id="between records"),
    ],
)
def test_an_element_without_end_is_refused_before_it_is_in_memory(path, parts):
    outcome, records, megabytes = measured(written(path, huge(*parts)))
    assert path.stat().st_size > BIG
    assert (outcome, records) == ("record_too_large", 1)
    assert megabytes < 24


@pytest.mark.parametrize(
    "child",
    [
        pytest.param(b"<a>" + MEBIBYTE * 3 + b"</a>", id="of text"),
        pytest.param(b'<a b="' + MEBIBYTE * 3 + b'"/>', id="of attributes"),
    ],
)
def test_a_record_of_a_few_large_children_is_refused_as_well(path, child):
    outcome, records, megabytes = measured(written(path, huge(b"<tick>", child, b"</tick>")))
    assert (outcome, records) == ("record_too_large", 1)
    assert megabytes < 24


def test_the_limit_is_named_and_the_record_before_it(path):
    written(path, [b"<tick>", b"a" * 2 * MAX_RECORD_BYTES, b"</tick>"])
    with pytest.raises(RefusedFileError, match=f"what follows record 1 has no end within {MAX_RECORD_BYTES} bytes"):
        list(FEED.records(path))


def test_memory_does_not_grow_with_the_number_of_records(path):
    line = tick().replace(" ", " " * 200).encode() + b"\n"
    outcome, records, megabytes = measured(written(path, [line] * 20_000))
    assert path.stat().st_size > 30 << 20
    assert (outcome, records) == ("read", 20_001)
    assert megabytes < 8


# The schema file.


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(None, id="is not there"),
        pytest.param("", id="is empty"),
        pytest.param("not XML", id="is no XML"),
        pytest.param("<a/>", id="is no schema"),
        pytest.param(SCHEMA.read_text().replace('type="size"', 'type="sice"'), id="names a type that it lacks"),
        pytest.param(
            '<xs:schema xmlns:xs="http://www.w3.org/2001/XMLSchema" targetNamespace="urn:x"><xs:element name="root"/></xs:schema>',
            id="has one element",
        ),
    ],
)
def test_a_schema_file_that_cannot_be_used_is_named(tmp_path, content):
    path = tmp_path / "feed.xsd"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigurationError, match=r"feed\.xsd: not a schema with a root and a record"):
        Feed(path)
