"""Annotations."""

from __future__ import annotations

import time

from tests.grafana.routing import Call, Refused, Result, route
from tests.grafana.rules import rule

_CODE = "pkg/api/annotations.go, stored files 261727639 and 85383178"


@route("POST", "/api/annotations", "annotations:create")
@rule(f"{_CODE}; docs api-legacy/annotations")
def create(call: Call) -> Result:
    """An annotation needs a text: else 400; without a time it is made for now, without a dashboard for the whole organisation."""
    sent = call.document()
    if not sent.get("text"):
        raise Refused(400, "Failed to save annotation")
    number, at = next(call.state.ids), int(sent.get("time") or time.time() * 1000)
    call.state.annotations[number] = {
        "id": number,
        "dashboardUID": sent.get("dashboardUID") or None,
        "panelId": sent.get("panelId") or 0,
        "userId": call.signed_in.id,
        "login": call.signed_in.login,
        "time": at,
        "timeEnd": int(sent.get("timeEnd") or at),
        "text": sent["text"],
        "tags": sent.get("tags") or [],
        "data": sent.get("data") or {},
    }
    return 200, {"id": number, "message": "Annotation added"}


@route("GET", "/api/annotations", "annotations:read")
@rule(f"{_CODE} GetAnnotations(); docs api-legacy/annotations")
def list_all(call: Call) -> Result:
    """Annotations are found by time and by tags, which must all be there, unless matchAny is given; at most 100 where no limit is."""
    tags, any_of = set(call.query.get("tags", [])), call.first("matchAny") == "true"
    start, end = int(call.first("from") or 0), int(call.first("to") or 0) or 2**62
    board = call.first("dashboardUID")
    found = [
        note
        for note in call.state.annotations.values()
        if note["timeEnd"] >= start
        and note["time"] <= end
        and (not tags or (tags & set(note["tags"]) if any_of else tags <= set(note["tags"])))
        and board in ("", note["dashboardUID"])
    ]
    return 200, sorted(found, key=lambda note: -note["time"])[call.page(size=100)]


@route("DELETE", "/api/annotations/{id}", "annotations:delete")
@rule(f"{_CODE}; docs api-legacy/annotations")
def delete(call: Call) -> Result:
    """A deleted annotation is answered with 200; one that is not there with 404."""
    number = int(call.parameters["id"]) if call.parameters["id"].isdigit() else 0
    if number not in call.state.annotations:
        raise Refused(404, "Could not find annotation to update")
    del call.state.annotations[number]
    return 200, {"message": "Annotation deleted"}
