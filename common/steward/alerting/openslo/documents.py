"""The frame of all documents of `openslo/v1`: kinds, names, durations, and what is lost on the way."""

import hashlib
import re
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from steward.jsonvalue import JsonObject

API_VERSION = "openslo/v1"
SOURCE = "Linkerd"
"""Type of a metric source that is a target in a mesh: kind, name and namespace, and how it is looked at."""
POLICY = "steward.linkerd.io/policy"
"""Annotation of an SLO: the AlertPolicy that it came from."""
ALERTMANAGER = "alertmanager"
NOBODY = "everybody"
"""Notification target of a policy without a team: OpenSLO wants one for every alert."""
LONGEST_NAME = 63
_NAME = re.compile(r"[^a-z0-9]+")
_SHORTHAND = re.compile(r"(?P<count>[1-9][0-9]{0,5})(?P<unit>[mhdw])")
_UNITS = {"w": timedelta(weeks=1), "d": timedelta(days=1), "h": timedelta(hours=1), "m": timedelta(minutes=1)}
_WRITTEN = ("d", "h", "m")


class Kind(StrEnum):
    """What a document is about."""

    DATA_SOURCE = "DataSource"
    SLO = "SLO"
    SLI = "SLI"
    ALERT_POLICY = "AlertPolicy"
    ALERT_CONDITION = "AlertCondition"
    NOTIFICATION_TARGET = "AlertNotificationTarget"
    SERVICE = "Service"


@dataclass(frozen=True, slots=True)
class Lost:
    """Something that could not be carried over."""

    where: str
    """Such as SLO/web-success, or AlertPolicy/shop/web."""
    what: str
    """The member, such as spec.budgetingMethod."""
    why: str


def document(kind: Kind, name: str, spec: JsonObject, **metadata: JsonObject | str) -> JsonObject:
    """One document; empty members of its metadata are left out."""
    given: JsonObject = {key: value for key, value in metadata.items() if value}
    return {"apiVersion": API_VERSION, "kind": kind.value, "metadata": {"name": name, **given}, "spec": spec}


def named(*parts: str) -> str:
    """A name of small letters, digits and dashes that belongs to these parts alone."""
    plain = "-".join(parts)
    written = _NAME.sub("-", plain.lower()).strip("-")
    if written == plain and 0 < len(written) <= LONGEST_NAME and len(parts) == 1:
        return written
    digest = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:8]
    return f"{written[: LONGEST_NAME - 9].rstrip('-')}-{digest}".lstrip("-")


def shorthand(span: timedelta) -> str | None:
    """A duration as OpenSLO writes it; None where it is not in whole minutes."""
    for unit in _WRITTEN:
        if span and span % _UNITS[unit] == timedelta():
            return f"{span // _UNITS[unit]}{unit}"
    return None


def read_shorthand(text: str) -> timedelta | None:
    """The duration; None for months, quarters and years, which are not always as long, and for what is none."""
    match = _SHORTHAND.fullmatch(text)
    return int(match["count"]) * _UNITS[match["unit"]] if match else None
