"""Reads one XML file as a stream: records, one after the other, each validated on its own.

lxml is used because it validates against XSD, streams, and reads what libxml2's converters can (EUC-KR, UTF-16); the standard library has
no schemas, `xmlschema` validates in Python, and defusedxml has given up its lxml part. What could be turned against us is off:
no entity is expanded, no DTD or address is loaded, a document type declaration is refused, libxml2's own limits (10 MB for one text, 256
levels) stay on, and a record may have a stated number of bytes and elements, so that memory is bounded by one record.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lxml import etree

from lakehouse.exceptions import ConfigurationError

_XSD = "{http://www.w3.org/2001/XMLSchema}"
_BLANKS = " \t\r\n"
_CHUNK = 1 << 16
MAX_RECORD_BYTES = 4 << 20
MAX_RECORD_ELEMENTS = 1_000


class RefusedFileError(ValueError):
    """The file cannot be taken as a whole; `reason` is its class."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


@dataclass(frozen=True)
class Record:
    """One record: its number in the file and its line (both from 1), its values by name, and what is wrong with it, if anything.

    The line is exact up to 65,534; after that libxml2 knows it to within a record.
    """

    number: int
    line: int
    values: dict[str, str]
    problem: str | None


class Feed:
    """What files of one kind look like: an XSD whose first global element is the root, and whose second one is the record."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._tree = etree.parse(path, etree.XMLParser(resolve_entities=False, no_network=True))
            self.schema = etree.XMLSchema(self._tree)
            self.root, self.record = (self._qualified(element) for element in self._tree.getroot().findall(f"{_XSD}element")[:2])
        except (OSError, ValueError, etree.XMLSyntaxError, etree.XMLSchemaParseError) as error:
            raise ConfigurationError(f"{path}: not a schema with a root and a record among its global elements: {error}") from error

    def _qualified(self, element: etree._Element) -> str:
        return str(etree.QName(self._tree.getroot().get("targetNamespace"), element.get("name")).text)

    @cached_property
    def names(self) -> tuple[str, ...]:
        """The attributes of a record, in the schema's order."""
        record = self._tree.getroot().findall(f"{_XSD}element")[1]
        return tuple(attribute.get("name", "") for attribute in record.iter(f"{_XSD}attribute"))

    def records(self, file: Path) -> Iterator[Record]:
        """The file's records; what came before a `RefusedFileError` is not to be loaded.

        Raises:
            RefusedFileError: the file is not well-formed, ends too early, has a document type, another root or other elements, or a
                record without end.
        """
        if file.stat().st_size == 0:
            raise RefusedFileError("empty", "the file has no byte")
        parser = etree.XMLPullParser(
            events=("start", "end"), resolve_entities=False, no_network=True, load_dtd=False, huge_tree=False, remove_comments=True,
            remove_pis=True,
        )  # fmt: skip
        depth = number = elements = silent = 0
        whole = False
        try:
            with file.open("rb") as stream:
                while chunk := stream.read(_CHUNK):
                    parser.feed(chunk)
                    silent += len(chunk)
                    for event, element in parser.read_events():
                        depth += 1 if event == "start" else -1
                        elements += depth > 2
                        if event == "start" and depth <= 2:
                            self._expect(element, depth)
                        elif event == "end" and depth == 1:
                            number, elements, silent = number + 1, 0, 0
                            yield self._record(element, number)
                            _forget(element)
                        elif depth == 0:
                            _refuse_text(element.text, *(child.tail for child in element))
                    # libxml2 waits for the end of a tag, however long that takes.
                    if silent > MAX_RECORD_BYTES or elements > MAX_RECORD_ELEMENTS:
                        limits = f"{MAX_RECORD_BYTES} bytes and {MAX_RECORD_ELEMENTS} elements"
                        raise RefusedFileError("record_too_large", f"what follows record {number} has no end within {limits}")
            whole = True
            parser.close()
        except etree.XMLSyntaxError as error:
            # Whatever libxml2 says of it: all bytes were read, and the root is still open.
            earlier = [entry for entry in parser.feed_error_log if entry.type == etree.ErrorTypes.ERR_UNDECLARED_ENTITY]
            if earlier:
                raise RefusedFileError("not_well_formed", f"{earlier[0].message}, line {earlier[0].line}") from error
            reason = "cut_off" if whole and depth > 0 else _reason(error)
            raise RefusedFileError(reason, error.msg or "the file is not XML") from error
        except LookupError as error:  # an encoding that nobody knows
            raise RefusedFileError("unknown_encoding", str(error)) from error

    def _expect(self, element: etree._Element, depth: int) -> None:
        if depth == 1 and element.getroottree().docinfo.internalDTD is not None:
            raise RefusedFileError("doctype", "a document type declaration is not taken: entities could be expanded")
        wanted = self.root if depth == 1 else self.record
        if element.tag != wanted:
            where = "the root" if depth == 1 else f"an element at line {element.sourceline}"
            raise RefusedFileError("other_elements", f"{where} is {str(element.tag)[:100]}, {wanted} is wanted")

    def _record(self, element: etree._Element, number: int) -> Record:
        problem = None
        if not self.schema.validate(element):
            problem = "; ".join(entry.message for entry in self.schema.error_log)[:300]
        # XML Schema reads over the blanks around a value; what is refused is shown as it came.
        values = {name: value if problem else value.strip(_BLANKS) for name, value in element.attrib.items()}
        return Record(number, element.sourceline or 0, values, problem)


def _forget(element: etree._Element) -> None:
    """Drop what was read, but for its own tail, which may come later; what stands between records is looked at first.

    One sibling stays, because libxml2 finds line numbers above 65,535 through its neighbours.
    """
    parent = element.getparent()
    element.clear(keep_tail=True)
    while (older := element.getprevious()) is not None:
        _refuse_text(parent.text, older.tail)
        parent.text = None
        parent.remove(older)


def _refuse_text(*texts: str | None) -> None:
    for text in texts:
        if text and text.strip():
            raise RefusedFileError("text_between_records", f"there is text outside of the records: {text.strip()[:80]!r}")


def _reason(error: etree.XMLSyntaxError) -> str:
    if error.code in (etree.ErrorTypes.ERR_UNSUPPORTED_ENCODING, etree.ErrorTypes.ERR_UNKNOWN_ENCODING):
        return "unknown_encoding"
    return "cut_off" if error.code == etree.ErrorTypes.ERR_TAG_NOT_FINISHED else "not_well_formed"
