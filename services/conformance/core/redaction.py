"""Evidence as it is kept: all that was seen, without secrets and without bodies."""

from collections.abc import Iterable
from itertools import islice

import orjson

from services.conformance.core.evidence import Evidence, Found, NotTold, Scraped, Told, Turned, Would
from services.conformance.core.orders import Fetched, Headers, Replies, Reply, Report
from steward.conformance.results import FeatureResult
from steward.jsonvalue import Json, JsonObject, table, text
from steward.viz.events import TapEvent

_SECRET_HEADERS = frozenset({"authorization", "cookie", "set-cookie", "proxy-authorization", "x-api-key"})
_MOST_REPLIES = 200
_MOST_SAMPLES = 2000
_MOST_LINES = 200
_REMOVED = "[removed]"


def kept(result: FeatureResult, attempts: Iterable[Evidence]) -> bytes:
    """One document of a cycle."""
    document: JsonObject = {
        "result": result.model_dump(mode="json", by_alias=True, exclude_none=True),
        "attempts": [_evidence(each) for each in attempts],
    }
    return orjson.dumps(document, option=orjson.OPT_INDENT_2)


def _evidence(evidence: Evidence) -> JsonObject:
    return {name: _found(found) for name, found in evidence.steps.items()}


def _found(found: Found) -> JsonObject:
    made: JsonObject = {}
    if found.failure is not None:
        made["failure"] = {"reason": found.failure.reason, "message": found.failure.message}
    if found.reports is not None:
        made["reports"] = [_report(each) for each in found.reports]
    if found.pages is not None:
        made["pages"] = {pod: list(islice(page.written(), _MOST_SAMPLES)) for pod, page in found.pages.items()}
    if found.effect is not None:
        effect = found.effect
        made["effect"] = {
            "met": effect.met,
            "wish": effect.wish,
            "seconds": effect.seconds,
            "replies": [_reply(each) for each in effect.replies],
            "objects": [_object(each) for each in effect.objects],
        }
    if found.objects is not None:
        made["objects"] = [_object(each) for each in found.objects]
    if found.accepted is not None:
        made["accepted"] = {
            "at": found.accepted.at.isoformat(),
            "objects": [_object(each) for each in found.accepted.objects],
        }
    return made | _shown(found) | _asked(found)


def _shown(found: Found) -> JsonObject:
    made: JsonObject = {}
    if found.scraped is not None:
        made["scraped"] = {name: _scraped(each) for name, each in found.scraped.items()}
    if found.drained is not None:
        drained = found.drained
        made["drained"] = {"node": drained.node, "gone": [*drained.gone], "refused": dict(drained.refused)}
    if found.logs is not None:
        made["logs"] = {pod: list(lines[:_MOST_LINES]) for pod, lines in found.logs.items()}
    return made


def _scraped(scraped: Scraped) -> JsonObject:
    lines = [] if scraped.page is None else list(islice(scraped.page.written(), _MOST_SAMPLES))
    return {
        "ports": list(scraped.ports),
        "found": scraped.found,
        "status": scraped.status,
        "said": scraped.said,
        "page": [*lines],
    }


def _asked(found: Found) -> JsonObject:
    made: JsonObject = {}
    match found.trial:
        case Would(object=thing):
            made["would"] = _object(thing)
        case Turned(status, message):
            made["refused"] = {"status": status, "message": message}
        case None:
            pass
    match found.told:
        case Told(answers):
            made["told"] = dict[str, Json](answers)
        case NotTold(code, message):
            made["notTold"] = {"code": code, "message": message}
        case None:
            pass
    if found.heard is not None:
        refused = found.heard.refused
        made["heard"] = [_told(each) for each in found.heard.events[:_MOST_REPLIES]]
        made["notHeard"] = {"status": refused.status, "message": refused.message} if refused is not None else None
    return made


def _told(event: TapEvent) -> JsonObject:
    return {
        "told": event.told.value,
        "path": event.path,
        "status": event.status,
        "inbound": event.inbound,
        "source": {"ip": event.source.ip, "labels": dict(event.source.labels)},
        "destination": {"ip": event.destination.ip, "labels": dict(event.destination.labels)},
    }


def _report(report: Report) -> JsonObject:
    made: JsonObject = {
        "pod": report.pod,
        "node": report.node,
        "zone": report.zone,
        "startedAt": report.started_at.isoformat(),
        "endedAt": report.ended_at.isoformat(),
    }
    seen = report.seen
    if isinstance(seen, Replies):
        made["replies"] = [_reply(each) for each in seen.replies[:_MOST_REPLIES]]
        made["calls"] = len(seen.replies)
    elif isinstance(seen, Fetched):
        made["fetched"] = {"status": seen.status, "bytes": len(seen.body), "message": seen.message}
    else:
        made["saw"] = seen.model_dump(mode="json", by_alias=True, exclude_none=True)
    return made


def _reply(reply: Reply) -> JsonObject:
    shown = reply.model_copy(
        update={
            "headers": _headers(reply.headers),
            "trailers": _headers(reply.trailers),
            "echo": reply.echo.model_copy(update={"headers": _headers(reply.echo.headers)}) if reply.echo else None,
        }
    )
    dumped: JsonObject = shown.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_defaults=True)
    return dumped


def _headers(headers: Headers) -> Headers:
    return tuple((name, _REMOVED if name.lower() in _SECRET_HEADERS else value) for name, value in headers)


def _object(thing: JsonObject) -> JsonObject:
    """An object as the API server has it, without what is nobody's business."""
    metadata = {name: value for name, value in table(thing, "metadata").items() if name != "managedFields"}
    shown: JsonObject = {**thing, "metadata": metadata}
    if text(thing, "kind") == "Secret":
        for part in ("data", "stringData"):
            if part in shown:
                shown[part] = _REMOVED
    return shown
