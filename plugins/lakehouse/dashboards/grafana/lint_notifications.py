"""Contact points, notification policies, mute timings: what Grafana answers with 400, or takes and never uses.

Sources: grafana/grafana, `pkg/services/ngalert/api/tooling/definitions` (routes, mute timings); grafana/alerting, `receivers/*` (settings
of contact points); prometheus/alertmanager, `timeinterval` (times).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from lakehouse.dashboards.findings import Finding
from lakehouse.dashboards.grafana.json_files import Document
from lakehouse.dashboards.grafana.lint_alerting import Known, unclosed
from lakehouse.dashboards.grafana.lint_boards import check_uid
from lakehouse.dashboards.grafana.times import prometheus_milliseconds

_MATCHES = ("=", "!=", "=~", "!~")
_TIME = re.compile(r"([01]\d|2[0-3]):[0-5]\d$|24:00$")
_DAYS = ("sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday")
_MONTHS = (
    "january", "february", "march", "april", "may", "june", "july", "august", "september", "october", "november", "december",
)  # fmt: skip
_SURE = ("email", "slack", "webhook")  # whose settings were read in Grafana's source
# What a type cannot do without: each entry one of the names in it.
NEEDED: dict[str, tuple[tuple[str, ...], ...]] = {
    "dingding": (("url",),),
    "discord": (("url",),),
    "email": (("addresses",),),
    "googlechat": (("url",),),
    "jira": (("api_url",), ("project",), ("issue_type",)),
    "kafka": (("kafkaRestProxy",), ("kafkaTopic",)),
    "line": (("token",),),
    "mqtt": (("brokerUrl",), ("topic",)),
    "oncall": (("url",),),
    "opsgenie": (("apiKey",),),
    "pagerduty": (("integrationKey",),),
    "prometheus-alertmanager": (("url",),),
    "pushover": (("apiToken",), ("userKey",)),
    "sensugo": (("url",), ("apikey",)),
    "slack": (("url", "token"),),
    "sns": (("topic_arn",),),
    "teams": (("url",),),
    "telegram": (("bottoken",), ("chatid",)),
    "threema": (("gateway_id",), ("recipient_id",), ("api_secret",)),
    "victorops": (("url",),),
    "webex": (("bot_token",), ("room_id",)),
    "webhook": (("url",),),
    "wecom": (("url", "secret"),),
}


def check_contact_point(point: Document) -> Iterator[Finding]:
    """A contact point: its type, and the settings that it cannot do without."""
    yield from check_uid(point, needed=False)
    kind, settings = point.data.get("type"), point.data.get("settings")
    if not isinstance(point.data.get("name"), str) or not point.data["name"].strip():
        yield point.finding("contact-point", "a contact point needs a `name`", "name")
    if not isinstance(kind, str) or kind.lower() not in NEEDED:
        message = f"`type` is {kind!r}, which no contact point has; known are {', '.join(NEEDED)}"
        yield point.finding("contact-point", message, "type", severity="warning")  # Grafana gets new ones
        return
    if not isinstance(settings, dict):
        yield point.finding("contact-point", "a contact point needs its `settings`", "settings")
        return
    for one_of in NEEDED[kind.lower()]:
        if not any(settings.get(name) for name in one_of):
            severity = "error" if kind.lower() in _SURE else "warning"
            yield point.finding("contact-point", f"`settings` of a {kind} need {' or '.join(one_of)}", "settings", severity=severity)
    if kind.lower() == "slack" and not settings.get("url") and not settings.get("recipient"):
        yield point.finding("contact-point", "`settings` of a slack with a token need `recipient`", "settings")
    for name, text in settings.items():
        if isinstance(text, str) and (fault := unclosed(text)):
            yield point.finding("template", f"`{name}`: {fault}", "settings", name)


def check_policy(policy: Document, known: Known) -> Iterator[Finding]:
    """A notification policy: one route and those below it."""
    if known.ours and not policy.data.get("object_matchers") and not policy.data.get("matchers"):
        message = "a route of ours needs `object_matchers`: without any it takes every alert of everybody"
        yield policy.finding("policy", message, "object_matchers")
    yield from _route(policy, policy.data, (), known)


def _route(policy: Document, route: Mapping[str, Any], at: tuple[Any, ...], known: Known) -> Iterator[Finding]:
    receiver = route.get("receiver")
    if known.lacks("contact_points", receiver, known.receivers) and receiver:
        yield policy.finding("dangling", f"the receiver {receiver} is in no file of contact_points/", *at, "receiver")
    elif not at and known.ours and not receiver:
        yield policy.finding(
            "policy", "names no `receiver`: the alerts go where the server's root sends them", "receiver", severity="warning"
        )
    for key in ("mute_time_intervals", "active_time_intervals"):
        for i, name in enumerate(_list(route.get(key))):
            if known.lacks("mute_timings", name, known.timings):
                yield policy.finding("dangling", f"the mute timing {name} is in no file of mute_timings/", *at, key, i)
    for i, matcher in enumerate(_list(route.get("object_matchers"))):
        if not isinstance(matcher, list) or len(matcher) != 3 or not all(isinstance(part, str) for part in matcher):
            yield policy.finding("policy", "a matcher is three texts: label, = != =~ or !~, value", *at, "object_matchers", i)
        elif matcher[1] not in _MATCHES:
            yield policy.finding("policy", f"a matcher has {matcher[1]!r}; known are {' '.join(_MATCHES)}", *at, "object_matchers", i)
        elif matcher[1] in ("=~", "!~") and not _is_pattern(matcher[2]):
            yield policy.finding("policy", f"{matcher[2]!r} is no regular expression", *at, "object_matchers", i)
    labels = [one for one in _list(route.get("group_by")) if isinstance(one, str)]
    if len(set(labels)) < len(labels) or ("..." in labels and len(labels) > 1):
        yield policy.finding("policy", "`group_by` has a label twice, or `...` beside others", *at, "group_by")
    for key in ("group_wait", "group_interval", "repeat_interval"):
        length = route.get(key)
        if length is None:
            continue
        if prometheus_milliseconds(length) is None:
            yield policy.finding("duration", f"`{key}` is {length!r}: a duration such as 5m is needed", *at, key)
        elif key != "group_wait" and not prometheus_milliseconds(length):
            yield policy.finding("duration", f"`{key}` cannot be zero", *at, key)
    for i, child in enumerate(_list(route.get("routes"))):
        if isinstance(child, dict):
            yield from _route(policy, child, (*at, "routes", i), known)


def check_mute_timing(timing: Document) -> Iterator[Finding]:
    """A mute timing: times, days, months, years and zone."""
    if not isinstance(timing.data.get("name"), str) or not timing.data["name"].strip():
        yield timing.finding("mute-timing", "a mute timing needs a `name`", "name")
    intervals = timing.data.get("time_intervals")
    if not isinstance(intervals, list) or not intervals:
        yield timing.finding("mute-timing", "mutes nothing: `time_intervals` is empty", "time_intervals", severity="warning")
        return
    for i, interval in enumerate(intervals):
        if not isinstance(interval, dict):
            yield timing.finding("mute-timing", "an interval is an object", "time_intervals", i)
            continue
        yield from _interval(timing, interval, ("time_intervals", i))


def _interval(timing: Document, interval: Mapping[str, Any], at: tuple[Any, ...]) -> Iterator[Finding]:
    for j, span in enumerate(_list(interval.get("times"))):
        start, end = (span.get(key) for key in ("start_time", "end_time")) if isinstance(span, dict) else (None, None)
        if not (isinstance(start, str) and isinstance(end, str) and _TIME.match(start) and _TIME.match(end)):
            yield timing.finding("mute-timing", "a time is `start_time` and `end_time`, each HH:MM", *at, "times", j)
        elif start >= end:
            message = f"{start} is not before {end}: what goes past midnight is two times"
            yield timing.finding("mute-timing", message, *at, "times", j)
    spans: dict[str, tuple[tuple[str, ...], tuple[int, int]]] = {
        "weekdays": (_DAYS, (0, 0)),
        "months": (_MONTHS, (1, 12)),
        "days_of_month": ((), (-31, 31)),
        "years": ((), (1, 9999)),
    }
    for key, (names, numbers) in spans.items():
        for j, text in enumerate(_list(interval.get(key))):
            if not isinstance(text, str) or not _span(text, names, numbers):
                yield timing.finding("mute-timing", f"`{key}` has {text!r}, which is no such span", *at, key, j)
    zone = interval.get("location")
    if zone is not None and not (isinstance(zone, str) and re.match(r"(UTC|Local|[A-Za-z_]+(/[A-Za-z0-9_+-]+)+|[A-Z]{3,4})$", zone)):
        yield timing.finding("mute-timing", f"`location` is {zone!r}, which is no time zone", *at, "location")


def _span(text: str, names: tuple[str, ...], numbers: tuple[int, int]) -> bool:
    parts = text.lower().split(":")
    if len(parts) > 2:
        return False
    places = []
    for part in parts:
        if part in names:
            places.append(names.index(part) + 1)
        elif re.fullmatch(r"-?\d{1,4}", part) and numbers[0] <= int(part) <= numbers[1] and int(part):
            places.append(int(part))
        else:
            return False
    return len(places) == 1 or places[0] <= places[1] or (places[0] > 0 > places[1])


def _is_pattern(text: str) -> bool:
    try:
        re.compile(text)
    except re.error:
        return False
    return True


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
