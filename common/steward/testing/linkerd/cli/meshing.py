"""`linkerd inject FILE`: asks for injection by annotation, and reports what it did."""

import sys
from pathlib import Path

from steward.clock import Clock
from steward.jsonvalue import JsonObject, table, text
from steward.testing.linkerd.cli.checking import Executable
from steward.testing.linkerd.cli.flags import Command, Parsed
from steward.testing.linkerd.cli.stored import Refused
from steward.testing.linkerd.injection import INJECT
from steward.testing.linkerd.values import dump, load_all

INJECT_COMMAND = Command("inject", ())
_WORKLOADS = ("Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job")


def inject(_executable: Executable, parsed: Parsed, _clock: Clock) -> int:
    """Annotate workloads and namespaces; everything else passes through."""
    if len(parsed.words) != 1:
        raise Refused("please specify a kubernetes resource file\n")
    source = parsed.words[0]
    try:
        stream = sys.stdin.read() if source == "-" else Path(source).read_text(encoding="utf-8")
    except OSError as error:
        raise Refused(f"{error}\n") from error
    lines = []
    for document in load_all(stream):
        kind, name = text(document, "kind"), text(document, "metadata", "name")
        place = _place(document, kind)
        if place is None:
            lines.append(f'{kind.lower()} "{name}" skipped')
        else:
            place["annotations"] = {**table(place, "annotations"), INJECT: "enabled"}
            lines.append(f'{kind.lower()} "{name}" injected')
        sys.stdout.write(dump(document) + "---\n")
    sys.stderr.write("\n" + "\n".join(lines) + "\n\n")
    return 0


def _place(document: JsonObject, kind: str) -> JsonObject | None:
    """The metadata that the annotation belongs into."""
    if kind in ("Pod", "Namespace"):
        return table(document, "metadata")
    if kind == "CronJob":
        template = table(document, "spec", "jobTemplate", "spec", "template")
    elif kind in _WORKLOADS:
        template = table(document, "spec", "template")
    else:
        return None
    metadata = template.setdefault("metadata", {})
    return metadata if isinstance(metadata, dict) else None
