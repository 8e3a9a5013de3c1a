"""What rests on what: a feature whose ground is broken is skipped and says because of which, so that one cause shows.

Groups stand on groups, each by its root feature; a probe may name features of its own besides (`depends_on`).
"""

from collections.abc import Iterable, Mapping, Sequence

from services.conformance.core.probe import Probe
from steward.conformance.results import Verdict

_TRAFFIC = ("proto",)
GROUNDS: Mapping[str, tuple[str, ...]] = {
    "cp": (),
    "inj": ("cp",),
    "mtls": ("inj",),
    "proto": ("mtls",),
    **dict.fromkeys(
        ("lb", "disc", "topo", "net", "route", "split", "sp", "authz", "obs", "life", "ip", "chg"), _TRAFFIC
    ),
    # What was opened while all was well is judged just when something is not.
    "soak": (),
    **dict.fromkeys(("retry", "timeout", "cb", "ratelimit", "egress", "fault", "failfast"), ("route", "lb", "authz")),
    **dict.fromkeys(("mc", "exp", "ingress"), ("retry", "timeout")),
}
ROOTS: Mapping[str, str] = {
    "cp": "cp.ready",
    "inj": "inj.levels",
    "mtls": "mtls.identity",
    "proto": "proto.http1",
}
"""The feature without which nothing of a group can work. A group without a root takes nobody down with it."""


def grounds_of(probe: Probe) -> tuple[str, ...]:
    """The features that a probe stands on, nearest first."""
    found = dict.fromkeys(probe.depends_on)
    todo = list(GROUNDS.get(probe.group, _TRAFFIC))
    while todo:
        group = todo.pop(0)
        if group in ROOTS:
            found[ROOTS[group]] = None
        todo += [each for each in GROUNDS.get(group, ()) if each not in todo]
    found.pop(probe.id, None)
    return tuple(found)


def broken_ground(probe: Probe, verdicts: Mapping[str, Verdict]) -> str:
    """The feature because of which a probe need not be run; empty where it should be. One that failed says more than
    one that was skipped itself."""
    grounds = grounds_of(probe)
    for verdict in (Verdict.FAILED, Verdict.SKIPPED):
        for feature in grounds:
            if verdicts.get(feature) is verdict:
                return feature
    return ""


def in_layers(probes: Iterable[Probe]) -> tuple[tuple[Probe, ...], ...]:
    """The probes so that none comes before one that it stands on; those of a layer may go together.

    What stands on itself by a detour is cut where the circle closes: the order is then by name.
    """
    waiting = {probe.id: probe for probe in sorted(probes, key=lambda each: each.id)}
    layers: list[tuple[Probe, ...]] = []
    while waiting:
        free = [each for each in waiting.values() if not any(ground in waiting for ground in grounds_of(each))]
        layer = tuple(free or [next(iter(waiting.values()))])
        layers.append(layer)
        for each in layer:
            del waiting[each.id]
    return tuple(layers)


def circle(probes: Sequence[Probe]) -> tuple[str, ...]:
    """Features that stand on themselves by a detour; empty where all is well."""
    grounds = {probe.id: grounds_of(probe) for probe in probes}
    settled: set[str] = set()
    while True:
        free = {
            each for each, on in grounds.items() if each not in settled and not (set(on) & grounds.keys()) - settled
        }
        if not free:
            return tuple(sorted(grounds.keys() - settled))
        settled |= free
