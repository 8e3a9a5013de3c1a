"""Every mutation there is, from every family."""

from functools import cache
from importlib import import_module
from pathlib import Path

from services.conformance.core.probes import PROBES
from tests.services.conformance import mutations
from tests.services.conformance.mutations.mutation import Mutation

_FAMILIES = sorted(path.stem for path in Path(next(iter(mutations.__path__))).glob("*.py"))


@cache
def all_mutations() -> tuple[Mutation, ...]:
    """In the order of their probes, those of controls last."""
    found: list[Mutation] = []
    for family in _FAMILIES:
        module = import_module(f"{mutations.__name__}.{family}")
        found += getattr(module, "MUTATIONS", ())
    order = {probe.id: number for number, probe in enumerate(PROBES)}
    return tuple(sorted(found, key=lambda each: (order.get(each.probe, len(order)), each.control, each.name)))


WITHOUT_VERDICT = {
    "net.latency.other-node": "records a trend, and never fails",
    "net.latency.other-zone": "records a trend, and never fails",
    "net.latency.same-node": "records a trend, and never fails",
    "route.rewrite": "unsupported by Linkerd, which the probe says",
    "split.trafficsplit": "not applicable without an extension that is no longer kept",
    "topo.hazl": "not applicable to the open-source release",
}
"""Probes that cannot fail, each with the reason."""


def undoubted() -> tuple[str, ...]:
    """Probes whose negative control no mutation breaks: nobody knows whether it would ever doubt them."""
    doubted = {each.probe for each in all_mutations() if each.control}
    return tuple(probe.id for probe in PROBES if probe.control is not None and probe.id not in doubted)


def unbroken() -> tuple[str, ...]:
    """Probes that no mutation breaks though they can fail: nobody knows whether they do."""
    broken = {each.probe for each in all_mutations() if not each.control}
    return tuple(probe.id for probe in PROBES if probe.id not in broken and probe.id not in WITHOUT_VERDICT)
