"""Do the types of a contract, of the index template and of the live indices fit together? Asked before a row is sent."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from typing import Any

from lakehouse.exceptions import ConfigurationError
from lakehouse.opensearch.client import OpenSearchClient

# Iceberg type -> types of fields that take each of its values whole. `keyword` takes any plain value as text.
_TEXTS = {"text", "keyword", "match_only_text", "wildcard"}
_TIMES = {"date", "date_nanos"}
_TAKEN_BY: dict[str, set[str]] = {
    "string": _TEXTS,
    "uuid": _TEXTS,
    "boolean": {"boolean", "keyword"},
    "int": {"integer", "long", "double", "keyword"},
    "long": {"long", "keyword"},
    "float": {"float", "double", "keyword"},
    "double": {"double", "keyword"},
    "decimal": {"scaled_float", "keyword"},
    "date": _TIMES | {"keyword"},
    "time": {"keyword"},
    "timestamp": _TIMES,
    "timestamptz": _TIMES,
    "timestamp_ns": {"date_nanos"},
    "timestamptz_ns": {"date_nanos"},
    "binary": {"binary", "keyword"},
    "fixed": {"binary", "keyword"},
    "struct": {"object", "nested", "flat_object"},
    "map": {"object", "nested", "flat_object"},
}
_OBJECTS = {"object", "nested"}
_DEFAULT_FORMAT = "strict_date_optional_time||epoch_millis"


def mapping_conflicts(
    client: OpenSearchClient,
    pattern: str,
    fields: Mapping[str, str],
    template_mapping: Mapping[str, Any],
    *,
    own: Callable[[Iterable[str]], Container[str]] = set,
) -> list[str]:
    """What does not fit, one sentence each: which field, where, what it is, what is wanted, what to do.

    Args:
        pattern: the live indices that are looked at, such as `logs-*`.
        fields: field of the documents, such as `meta.user` -> its Iceberg type. A field that the template does not map is no conflict
            unless its mapping is strict.
        template_mapping: `template.mappings` of the index template.
        own: which of the indices that match are looked at; all of them by default.
    """
    wanted = _types(template_mapping)
    found = list(_of_contract(fields, wanted, template_mapping))
    live = client.request("GET", f"/{pattern}/_mapping", accept=(404,))
    bodies = live.json() if live.ok else {}
    ours = own(bodies)
    for index, body in sorted((index, body) for index, body in bodies.items() if index in ours):
        found += _of_index(index, body.get("mappings", {}), wanted, template_mapping)
    return found


def refuse_conflicts(
    client: OpenSearchClient,
    pattern: str,
    fields: Mapping[str, str],
    template_mapping: Mapping[str, Any],
    *,
    own: Callable[[Iterable[str]], Container[str]] = set,
) -> None:
    """Nothing, where all fits; arguments as above.

    Raises:
        ConfigurationError: with every sentence of `mapping_conflicts`.
    """
    if conflicts := mapping_conflicts(client, pattern, fields, template_mapping, own=own):
        raise ConfigurationError("nothing was sent, because mappings do not fit:\n  " + "\n  ".join(conflicts))


def missing_fields(wanted: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """The properties of one mapping that another lacks, nested as they are; one that is there with another type is not among them."""
    missing: dict[str, Any] = {}
    for name, field in wanted.get("properties", {}).items():
        there = live.get("properties", {}).get(name)
        if there is None:
            missing[name] = field
        elif "properties" in field and "properties" in there and (below := missing_fields(field, there)):
            missing[name] = {"properties": below}
    return missing


def _of_contract(fields: Mapping[str, str], wanted: dict[str, str], template_mapping: Mapping[str, Any]) -> Iterator[str]:
    for field, iceberg_type in sorted(fields.items()):
        above = next((path for path in _parents(field) if wanted.get(path, "object").split()[0] not in _OBJECTS), None)
        advice = "correct the index template or the contract"
        if above:
            yield f"{field}: the contract wants it below {above}, which the index template maps as {wanted[above]}; {advice}"
        elif field not in wanted:
            if _dynamic(template_mapping) == "strict":
                yield f"{field}: the contract has it, the index template is strict and does not map it; {advice}"
        elif wanted[field].split()[0] not in _takers(iceberg_type):
            yield f"{field}: the contract says {iceberg_type}, which the index template maps as {wanted[field]}; {advice}"


def _of_index(index: str, mapping: Mapping[str, Any], wanted: dict[str, str], template_mapping: Mapping[str, Any]) -> Iterator[str]:
    live = _types(mapping)
    advice = f"delete or reindex {index}, or correct the index template"
    for path, kind in wanted.items():
        if path in live and live[path] != kind:
            yield f"{path}: in index {index} it is {live[path]}, {kind} is wanted; {advice}"
        elif path not in live and _dynamic(mapping) == "strict":
            yield f"{path}: index {index} is strict and does not map it, {kind} is wanted; {advice}"
    for path, dynamic in _dynamics(template_mapping):
        is_live = dict(_dynamics(mapping)).get(path)
        if is_live not in (None, dynamic):
            where = path or "the document"
            yield (
                f"{where}: index {index} maps unknown fields of it with dynamic {is_live}, {dynamic} is wanted; "
                f"PUT /{index}/_mapping with that, or delete or reindex the index"
            )


def _takers(iceberg_type: str) -> set[str]:
    inner = re.fullmatch(r"list<(.+)>", iceberg_type.strip())
    if inner:  # a field takes one value or several
        return _takers(inner[1])
    return _TAKEN_BY.get(re.split(r"[<(\[]", iceberg_type.strip())[0].strip(), set())


def _parents(path: str) -> list[str]:
    parts = path.split(".")
    return [".".join(parts[:count]) for count in range(1, len(parts))]


def _types(mapping: Mapping[str, Any], above: str = "") -> dict[str, str]:
    """The type of each field by its path, a date's with its format where that is not the default."""
    found = {}
    for name, field in mapping.get("properties", {}).items():
        kind = str(field.get("type", "object"))
        if kind in _TIMES and field.get("format", _DEFAULT_FORMAT) != _DEFAULT_FORMAT:
            kind += f" with format {field['format']}"
        found[f"{above}{name}"] = kind
        found |= _types(field, f"{above}{name}.")
    return found


def _dynamics(mapping: Mapping[str, Any], path: str = "", inherited: str = "true") -> Iterator[tuple[str, str]]:
    """What happens to unknown fields of the document (path "") and of each object in it."""
    dynamic = _dynamic(mapping, inherited)
    yield path, dynamic
    for name, field in mapping.get("properties", {}).items():
        if field.get("type", "object") in _OBJECTS:
            yield from _dynamics(field, f"{path}.{name}" if path else name, dynamic)


def _dynamic(mapping: Mapping[str, Any], inherited: str = "true") -> str:
    return str(mapping.get("dynamic", inherited)).lower()
