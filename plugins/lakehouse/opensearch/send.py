"""Documents created by bulk, each with its own outcome; only what may heal is sent again."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson
from requests import Response

from lakehouse.exceptions import ServiceError, StorageFullError, TransientError
from lakehouse.masking import mask
from lakehouse.opensearch.build import Documents
from lakehouse.opensearch.client import OpenSearchClient

TOO_LARGE = "too_large"
_BACK_OFF = (0.5, 1, 2, 4, 8)
_BULK = "/_bulk?filter_path=errors,items.*.error,items.*.status"
_HEADERS = {"Content-Type": "application/x-ndjson"}
# What a node says of a document, not of itself; another 400, such as "maximum shards open", is no document's fault.
_OF_THE_DOCUMENT = {
    "mapper_parsing_exception",
    "document_parsing_exception",
    "strict_dynamic_mapping_exception",
    "illegal_argument_exception",
    "parsing_exception",
    "json_parse_exception",
}


@dataclass(frozen=True)
class Refusal:
    """A document that the node will never take: its number in the bulk, a reason class, and the node's words."""

    number: int
    reason: str
    detail: str


@dataclass
class Outcome:
    """What became of the documents, by their numbers: every one is in exactly one of the three."""

    indexed: list[int] = field(default_factory=list)
    already_there: list[int] = field(default_factory=list)
    refused: list[Refusal] = field(default_factory=list)


def create(client: OpenSearchClient, documents: Documents) -> Outcome:
    """Create the documents; items answered 429 or 5xx are sent again with back-off, and only those.

    A bulk may be sent again after a lost answer: the ids are ours, so what was taken comes back as 409, "already there".

    Raises:
        TransientError: items were still rejected after the last try, or the node is not there.
        StorageFullError: the node's disk is over its flood stage.
        ServiceError: an index is read-only, we may not write to it, or it cannot be made; nothing is refused for that.
    """
    outcome = Outcome()
    pending: Sequence[int] = range(len(documents))
    last = ""
    for wait in (*_BACK_OFF, None):
        again = []
        items = _bulk(client, documents, pending)
        if items is None:
            outcome.indexed.extend(pending)
            return outcome
        for number, item in zip(pending, items, strict=True):
            status, error = item["status"], item.get("error", {})
            kind, reason = str(error.get("type", status)), _reason(error)
            if status in (200, 201):
                outcome.indexed.append(number)
            elif status == 409:
                outcome.already_there.append(number)
            elif status == 413 or (status == 400 and kind in _OF_THE_DOCUMENT):
                outcome.refused.append(Refusal(number, kind, reason))
            elif status < 429 or (status < 500 and kind == "cluster_block_exception"):
                raise _of_the_index(client, documents, number, status, kind, reason)
            else:
                again.append(number)
                last = f"{status} {kind}: {reason}"
        if not again:
            return outcome
        pending = again
        if wait is not None:
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
    raise TransientError(f"{client.name} kept rejecting {len(pending)} documents; the last reason was {last}")


def _bulk(client: OpenSearchClient, documents: Documents, numbers: Sequence[int]) -> list[dict[str, Any]] | None:
    """Each document's item of the answer, None when all were created; a bulk that is too large for the node is sent in halves."""
    body = (documents if len(numbers) == len(documents) else documents.take(numbers)).body()
    for wait in (*_BACK_OFF, None):
        try:
            response = client.request("POST", _BULK, data=bytes(body), headers=_HEADERS, accept=(413,))
        except TransientError:
            if wait is None:
                raise
            time.sleep(wait * random.uniform(0.5, 1.5))  # noqa: S311  # jitter, not a secret
        else:
            if response.status_code == 413:
                return _in_halves(client, documents, numbers)
            # To read 10,000 equal items takes a third of all the time that a shipment costs us.
            if response.content.startswith(b'{"errors":false') and response.content.count(b'{"status":201}') == len(numbers):
                return None
            return _items(client, response, len(numbers))
    raise AssertionError("unreachable")


def _items(client: OpenSearchClient, response: Response, wanted: int) -> list[dict[str, Any]]:
    try:
        items = [item["create"] for item in orjson.loads(response.content)["items"]]
    except (orjson.JSONDecodeError, KeyError, TypeError) as error:
        raise ServiceError(
            f"{client.name} answered a bulk with something else than its items ({mask(response.text[:200])!r}): is a proxy in between?",
            status=response.status_code,
            target=_BULK,
        ) from error
    if len(items) != wanted:
        raise TransientError(f"{client.name} answered {len(items)} items to a bulk of {wanted}")
    return items


def _in_halves(client: OpenSearchClient, documents: Documents, numbers: Sequence[int]) -> list[dict[str, Any]]:
    if len(numbers) == 1:
        reason = f"{len(documents.source(numbers[0]).encode())} bytes are more than the node takes"
        return [{"status": 413, "error": {"type": TOO_LARGE, "reason": reason}}]
    middle = len(numbers) // 2
    created: dict[str, Any] = {"status": 201}
    halves = [(half, _bulk(client, documents, half)) for half in (numbers[:middle], numbers[middle:])]
    return [item for half, items in halves for item in ([created] * len(half) if items is None else items)]


def _reason(error: dict[str, Any]) -> str:
    """The node's words, with those of the cause, which alone name the field; they quote values, so they are masked."""
    cause = error.get("caused_by") or {}
    return mask(": ".join(str(text) for text in (error.get("reason", ""), cause.get("reason")) if text))


def _of_the_index(client: OpenSearchClient, documents: Documents, number: int, status: int, kind: str, reason: str) -> Exception:
    """The error for an index that takes nothing."""
    index = str(orjson.loads(documents.lines[number].as_py().split("\n")[0])["create"]["_index"])
    if "read-only-allow-delete" in reason or "flood-stage" in reason:
        return StorageFullError(
            f"{client.name} made {index} read-only because its disk is over the flood stage ({reason}): free disk on the node; it lifts "
            "the block by itself, then clear the task"
        )
    if kind == "cluster_block_exception":
        return ServiceError(
            f"{client.name}: {index} takes no writes ({reason}): remove the block from its settings, then clear the task",
            status=status,
            target=index,
        )
    if status in (401, 403):
        return ServiceError(
            f"{client.name} refused to write to {index} with {status} {kind}: {reason}; check the role of its connection",
            status=status,
            target=index,
        )
    return ServiceError(f"{client.name} cannot write to {index}: {status} {kind}: {reason}", status=status, target=index)
