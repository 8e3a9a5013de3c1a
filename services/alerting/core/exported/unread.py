"""What could not be seen. A number that nobody could count is left out and said so here: 0 would be a lie."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from services.alerting.core.exported.samples import Samples, counted


class Fact(StrEnum):
    """What the numbers are made of."""

    MESH = "Mesh"
    """Pods, namespaces, workloads and linkerd-config."""
    CERTIFICATES = "Certificates"
    RENEWALS = "Renewals"
    """cert-manager's Certificates."""
    UPGRADES = "Upgrades"
    CONFORMANCE = "Conformance"
    SCRAPES = "Scrapes"
    """The targets of Prometheus."""


@dataclass(frozen=True, slots=True)
class Unread:
    """One thing that could not be seen, or not be understood."""

    fact: Fact
    message: str
    """A sentence without the content of what could not be read."""
    right: str = ""
    """The right that is missing, such as `get secrets linkerd/linkerd-identity-issuer`; empty where none is."""

    def __str__(self) -> str:
        return f"{self.message}: the right to {self.right} is missing" if self.right else self.message


def unread_facts(unread: Iterable[Unread]) -> Samples:
    """{fact}: how many things of it could not be read."""
    return counted((each.fact.value for each in unread), (fact.value for fact in Fact))
