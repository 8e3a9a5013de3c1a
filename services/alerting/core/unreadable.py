"""Objects that are there and cannot be read: what was good of them stays, and they are refused."""

from collections.abc import Iterable
from dataclasses import dataclass

from services.alerting.core.units import Refusal, file_of
from steward.resources.alert_policy import AlertPolicy

UNREADABLE = Refusal("Unreadable", "it does not fit its schema: apply the CRDs of this version of Steward")


@dataclass(frozen=True, slots=True)
class Lost:
    """Name of a content → the object that it was made from."""

    rules: dict[str, str]
    channels: dict[str, str]


def lost(unreadable: Iterable[str]) -> Lost:
    """What is lost, from `AlertPolicy/namespace/name` and the like."""
    rules: dict[str, str] = {}
    channels: dict[str, str] = {}
    for name in unreadable:
        kind, namespace, own = name.split("/", 2)
        if kind == AlertPolicy.kind_name:
            rules[file_of(namespace, own)] = name
        else:
            channels[f"{namespace}.{own}"] = name
    return Lost(rules, channels)
