"""The vocabulary for readers in other languages: a JSON Schema for each event, and one AsyncAPI 3 document.

`python -m steward.events.schemas` writes both beside this module. It refuses to overwrite a published schema by one
that readers or writers of yesterday could not live with: such a change needs a new version of the event.
"""

import json
import sys
from pathlib import Path

from steward.events.base import Event
from steward.events.codec import CONTENT_TYPE, model_of
from steward.events.compatibility import incompatibilities
from steward.events.registry import EVENTS
from steward.events.subjects import ROOT
from steward.jsonvalue import Json, JsonObject, text

DIRECTORY = Path(__file__).parent / "schemas"
ASYNCAPI = Path(__file__).parent / "asyncapi.json"
DIALECT = "https://json-schema.org/draft/2020-12/schema"
COMMAND = "make schemas"


class IncompatibleSchema(Exception):
    """A schema changed in a way that needs a new version of the event."""


def file_of(event: type[Event]) -> Path:
    """Where the schema of `event` is published."""
    return DIRECTORY / f"{event.name}.v{event.version}.json"


def schema_of(event: type[Event]) -> JsonObject:
    """JSON Schema (2020-12) of the whole CloudEvent, envelope included."""
    raw: JsonObject = model_of(event).model_json_schema(mode="serialization")
    schema = _plain(raw, event)
    return {
        "$schema": DIALECT,
        "$id": f"urn:linkerd-steward:event:{event.name}:v{event.version}",
        **schema,
        "title": event.type(),
        "description": (event.__doc__ or "").strip(),
    }


def _plain(raw: JsonObject, event: type[Event]) -> JsonObject:
    """Pin the type, and ask only for what an absent attribute would take away: writers leave out what is None."""
    raw = json.loads(json.dumps(raw).replace(f"Envelope[{event.__name__}]", "Envelope"))
    properties = raw.get("properties")
    if isinstance(properties, dict):
        properties["type"] = {"const": event.type(), "type": "string"}
    for part in [raw, *_definitions(raw)]:
        _relax(part)
    return raw


def _definitions(raw: JsonObject) -> list[JsonObject]:
    found = raw.get("$defs")
    return [each for each in found.values() if isinstance(each, dict)] if isinstance(found, dict) else []


def _relax(part: JsonObject) -> None:
    """A member that may be None may be absent: it is not required, and null is not written."""
    properties = part.get("properties")
    if not isinstance(properties, dict):
        return
    required = part.get("required")
    optional = {name for name, member in properties.items() if isinstance(member, dict) and _nullable(member)}
    if isinstance(required, list):
        part["required"] = [name for name in required if name not in optional]


def _nullable(member: JsonObject) -> bool:
    alternatives = member.get("anyOf")
    return isinstance(alternatives, list) and {"type": "null"} in alternatives


def asyncapi() -> JsonObject:
    """One AsyncAPI 3.0 document: a channel, a message and a send operation for each event."""
    channels: JsonObject = {}
    messages: JsonObject = {}
    operations: JsonObject = {}
    for event in EVENTS:
        label = f"{event.name}.v{event.version}"
        identity = label.replace(".", "-")
        messages[identity] = {
            "name": event.type(),
            "title": event.__name__,
            "summary": (event.__doc__ or "").strip(),
            "contentType": CONTENT_TYPE,
            "headers": {
                "type": "object",
                "properties": {
                    "Nats-Msg-Id": {"type": "string", "description": "The event's id: the stream keeps one of each."},
                    "ce-type": {"type": "string", "const": event.type()},
                    "ce-id": {"type": "string"},
                    "traceparent": {"type": "string"},
                },
            },
            "payload": {"$ref": f"./schemas/{label}.json"},
        }
        channels[identity] = {
            "address": f"{ROOT}.{{cluster}}.{event.name}.{{key}}",
            "messages": {identity: {"$ref": f"#/components/messages/{identity}"}},
            "parameters": {
                "cluster": {"description": "The Kubernetes cluster, one clean token."},
                "key": {"description": "What the event is about; may be several tokens."},
            },
        }
        operations[f"say-{identity}"] = {
            "action": "send",
            "channel": {"$ref": f"#/channels/{identity}"},
            "summary": (event.__doc__ or "").strip(),
        }
    return {
        "asyncapi": "3.0.0",
        "info": {
            "title": "Linkerd Steward events",
            "version": "1.0.0",
            "description": "CloudEvents 1.0 in structured JSON on NATS JetStream, stream STEWARD_EVENTS.",
            "license": {"name": "Apache-2.0", "url": "https://www.apache.org/licenses/LICENSE-2.0"},
        },
        "defaultContentType": CONTENT_TYPE,
        "channels": channels,
        "operations": operations,
        "components": {"messages": messages},
    }


def rendered(document: Json) -> str:
    """As it is committed: stable, readable in a diff."""
    return json.dumps(document, indent=2, ensure_ascii=False, sort_keys=False) + "\n"


def published(event: type[Event]) -> JsonObject | None:
    """The committed schema of `event`, or None where it has none yet."""
    path = file_of(event)
    if not path.exists():
        return None
    found: JsonObject = json.loads(path.read_text())
    return found


def check(event: type[Event]) -> str | None:
    """What keeps the committed schema of `event` from being today's, with the command that mends it."""
    today, before = schema_of(event), published(event)
    if before == today:
        return None
    if before is None:
        return f"{event.type()} has no committed schema: run `{COMMAND}`"
    broken = incompatibilities(before, today)
    if broken:
        return (
            f"{event.type()} changed in a way that yesterday's readers or writers cannot live with "
            f"({'; '.join(broken)}): give {event.__name__} the version {event.version + 1} beside the old one, "
            f"then run `{COMMAND}`"
        )
    return f"{event.type()} gained something compatible: run `{COMMAND}`"


def write() -> list[Path]:
    """Write every schema and the AsyncAPI document. Raise IncompatibleSchema before touching anything."""
    broken = [
        f"{text(schema_of(event), 'title')}: {'; '.join(problems)}"
        for event in EVENTS
        if (before := published(event)) is not None and (problems := incompatibilities(before, schema_of(event)))
    ]
    if broken:
        raise IncompatibleSchema("these events need a new version: " + " | ".join(broken))
    DIRECTORY.mkdir(exist_ok=True)
    for event in EVENTS:
        file_of(event).write_text(rendered(schema_of(event)))
    ASYNCAPI.write_text(rendered(asyncapi()))
    return [*(file_of(event) for event in EVENTS), ASYNCAPI]


def main() -> int:
    """Write, or say why not."""
    try:
        written = write()
    except IncompatibleSchema as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.writelines(f"{path.name}\n" for path in written)
    return 0


if __name__ == "__main__":
    sys.exit(main())
