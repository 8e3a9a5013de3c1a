"""What people ask of Steward for a workload. The workload wins over its namespace, an annotation over a label."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from steward.linkerd import marks
from steward.linkerd.pods import moment
from steward.linkerd.workloads import NamespaceFacts, WorkloadFacts
from steward.resources.upgrade_policy import SelectionMode

_NO_HOLD = ("", "false")


class ProxyUpgrade(StrEnum):
    """The values of `steward.linkerd.io/proxy-upgrade`."""

    AUTO = "Auto"
    MANUAL = "Manual"
    DISABLED = "Disabled"


@dataclass(frozen=True, slots=True)
class Objection:
    """Why a workload that would get a new proxy is left as it is for the time being."""

    reason: str
    message: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class NamespaceWishes:
    """What a namespace asks for; read once, for all of its workloads."""

    upgrade: str | None
    hold: str | None
    hold_until: str | None
    order: str | None
    pin: str
    extension: str

    @classmethod
    def of(cls, namespace: NamespaceFacts | None) -> "NamespaceWishes":
        """The wishes of a namespace; none where it is not known."""
        if namespace is None:
            return cls(None, None, None, None, "", "")
        found = {**namespace.labels, **namespace.annotations}
        return cls(
            upgrade=found.get(marks.PROXY_UPGRADE),
            hold=found.get(marks.HOLD),
            hold_until=found.get(marks.HOLD_UNTIL),
            order=found.get(marks.ORDER),
            pin=namespace.annotations.get(marks.PIN_VERSION, ""),
            extension=namespace.extension,
        )


def wished(key: str, workload: WorkloadFacts) -> str | None:
    """What the workload itself says."""
    value = workload.annotations.get(key)
    return value if value is not None else workload.labels.get(key)


def concerned(wish: str | None, mode: SelectionMode) -> bool:
    """Whether anything is to be said of a workload with this wish at all."""
    if wish is None:
        return mode is SelectionMode.OPT_OUT
    return wish != ProxyUpgrade.DISABLED


def objection(wish: str | None, workload: WorkloadFacts, namespace: NamespaceWishes, now: datetime) -> Objection | None:
    """What the people who own the workload have against restarting it, None where they have nothing."""
    if wish == ProxyUpgrade.MANUAL:
        return Objection("Manual", f"{marks.PROXY_UPGRADE} is Manual: restart it when it suits you")
    if wish is not None and wish != ProxyUpgrade.AUTO:
        message = f"{marks.PROXY_UPGRADE} is {wish!r}, and only Auto, Manual and Disabled are known: correct it"
        return Objection("InvalidWish", message)
    return _held(workload, namespace, now)


def _held(workload: WorkloadFacts, namespace: NamespaceWishes, now: datetime) -> Objection | None:
    if not (workload.annotations or workload.labels or namespace.hold or namespace.hold_until):
        return None
    hold = wished(marks.HOLD, workload)
    hold = namespace.hold if hold is None else hold
    if hold is not None and hold not in _NO_HOLD:
        return Objection("OnHold", f"{marks.HOLD} says {hold!r}: remove it when the workload may be restarted")
    until = wished(marks.HOLD_UNTIL, workload) or namespace.hold_until
    if not until:
        return None
    end = moment(until)
    if end is None:
        message = f"{marks.HOLD_UNTIL} is {until!r}: write it as 2026-08-30T06:00:00Z, with the time zone"
        return Objection("InvalidHoldUntil", message)
    return Objection("OnHold", f"{marks.HOLD_UNTIL} is {until}", end) if now < end else None


def order(workload: WorkloadFacts, namespace: NamespaceWishes) -> int:
    """The place in the queue; what is no integer is none."""
    text = workload.annotations.get(marks.ORDER, namespace.order)
    if text is None:
        return 0
    try:
        return int(text)
    except ValueError:
        return 0
