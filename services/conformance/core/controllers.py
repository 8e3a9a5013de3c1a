"""The controllers of the control plane as a scraper knows them: names of their ports, families that they show."""

from collections.abc import Mapping

from steward.alerting.families import Appears, Exposer, Family, catalogue
from steward.linkerd.version import Version

_NAMED_BY_COMPONENT = Version("edge", (25, 6, 3))
_BEFORE = "admin-http"
_PORTS: Mapping[Exposer, str] = {
    Exposer.DESTINATION: "dest-admin",
    Exposer.IDENTITY: "ident-admin",
    Exposer.POLICY: "policy-admin",
    Exposer.PROXY_INJECTOR: "injector-admin",
    Exposer.SP_VALIDATOR: "spval-admin",
}
"""Scrapers are told to look for these names: a port that is called otherwise is scraped by nobody."""


def admin_ports(version: Version | None) -> dict[str, tuple[str, ...]]:
    """By container the names that its admin port may have; both the old and the new where the version is not known."""
    edge = catalogue().edge(version)
    if edge is None:
        return {by.value: (name, _BEFORE) for by, name in _PORTS.items()}
    return {by.value: (name if edge >= _NAMED_BY_COMPONENT else _BEFORE,) for by, name in _PORTS.items()}


def families(container: str, version: Version | None) -> tuple[Family, ...]:
    """What a controller of that version always shows; where it is not known, what those of all versions do."""
    edge, by = catalogue().edge(version), Exposer(container)
    return tuple(
        each
        for each in catalogue().families.values()
        if each.appears is Appears.ALWAYS and (each.exposed(edge, by) if edge else _always_was(each, by))
    )


def _always_was(family: Family, by: Exposer) -> bool:
    return any(each.by is by and each.since is None and each.until is None for each in family.exposures)
