"""Queries of data sources through Grafana."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from tests.grafana.routing import Call, Document, Refused, Result, route
from tests.grafana.rules import rule
from tests.grafana.state import State

_CODE = "pkg/api/ds_query.go, stored file 623359755"
_TESTS = "pkg/api/ds_query_test.go, stored files 333870817 and 241925923"
_DOCS = "docs/sources/developer-resources/api-reference/http-api/api-legacy/data_source.md, stored file 54564719479"
_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_EXPRESSIONS = {"__expr__", "-100"}


@rule(_TESTS)
def check_queries(sent: Document) -> None:
    """A call without queries: 400, messageId query.noQueries."""
    if not sent.get("queries"):
        raise Refused(400, "No queries found", message_id="query.noQueries")


@rule(_TESTS)
def data_source(state: State, query: Document) -> str:
    """A query without a data source: 400; one whose data source is not there: 404."""
    uid = (query.get("datasource") or {}).get("uid") or ""
    if not uid:
        raise Refused(400, "Query does not contain a valid data source identifier", message_id="query.invalidDatasourceId")
    if uid not in state.data_sources and uid not in _EXPRESSIONS:
        raise Refused(404, "Data source not found")
    return str(uid)


@route("POST", "/api/ds/query", "datasources:query", alone=False)
@rule(f"{_CODE}; {_DOCS}")
def run(call: Call) -> Result:
    """Each query is answered under its refId, A where it has none: 200; where one fails all is 400, with the others' frames in it."""
    sent = call.document()
    check_queries(sent)
    queries = [({"refId": "A", **query}, data_source(call.state, query)) for query in sent["queries"]]
    start, end = moment(str(sent.get("from", "now-1h"))), moment(str(sent.get("to", "now")))
    results = {query["refId"]: _result(call.state, query, uid, start, end) for query, uid in queries}
    failed = any("error" in result for result in results.values())
    return 400 if failed else 200, {"results": results}


@rule(_DOCS)
def moment(text: str) -> datetime:
    """Times are milliseconds since 1970, or `now-5m` and the like."""
    if text.isdigit():
        return datetime.fromtimestamp(int(text) / 1000, UTC)
    relative = re.fullmatch(r"now(?:-(\d+)([smhdw]))?", text)
    if relative is None:
        raise Refused(400, "Query data error")
    number, unit = relative.groups()
    return datetime.now(UTC) - timedelta(seconds=int(number) * _UNITS[unit] if number else 0)


def _result(state: State, query: Document, uid: str, start: datetime, end: datetime) -> Document:
    if state.query is None or uid in _EXPRESSIONS:
        return {"status": 200, "frames": [_frame(query["refId"], end)]}
    kind = state.data_sources[uid]["type"]
    answer = state.query({**query, "datasource": {"uid": uid, "type": kind}}, start, end)
    if answer.error:
        return {"status": 400, "error": answer.error, "errorSource": "downstream", "frames": []}
    return {"status": 200, "frames": list(answer.frames)}


def _frame(ref: str, at: datetime) -> Document:
    fields = [{"name": "Time", "type": "time", "typeInfo": {"frame": "time.Time"}}]
    fields.append({"name": "Value", "type": "number", "typeInfo": {"frame": "float64"}})
    return {"schema": {"refId": ref, "fields": fields}, "data": {"values": [[int(at.timestamp() * 1000)], [1.0]]}}
