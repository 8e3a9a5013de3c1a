"""One look at the mesh and at the scrapes → every number that Steward's exporter shows."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from services.alerting.core.exported.certificates import CertificateGauges, CertificatesSeen, certificate_gauges
from services.alerting.core.exported.injection import Pods, meshed_pods, pods_of, unmeshed_pods
from services.alerting.core.exported.progress import (
    ConformanceSeen,
    UpgradeSeen,
    failed_features,
    upgrades_in_progress,
)
from services.alerting.core.exported.replicas import ReplicaGauges, replica_gauges
from services.alerting.core.exported.samples import Samples
from services.alerting.core.exported.scraped import Scrapes, refused_scrapes, unscraped_proxies
from services.alerting.core.exported.unread import Fact, Unread, unread_facts
from steward.linkerd.inventory import Inventory


@dataclass(frozen=True, slots=True)
class Facts:
    """What one look at the cluster brought. None is what could not be seen, and `unread` says why."""

    inventory: Inventory | None = None
    certificates: CertificatesSeen = field(default_factory=CertificatesSeen)
    upgrades: tuple[UpgradeSeen, ...] = ()
    upgrades_known: bool = False
    """Whether those are all that there are."""
    conformance: tuple[ConformanceSeen, ...] = ()
    unread: tuple[Unread, ...] = ()


@dataclass(frozen=True, slots=True)
class Exposition:
    """The series of every gauge; those that are not among them are not shown."""

    certificates: CertificateGauges
    replicas: ReplicaGauges
    meshed_pods: Samples
    unmeshed_pods: Samples
    refused_scrapes: Samples
    unscraped_proxies: Samples
    upgrades: Samples
    failed_features: Samples
    unread_facts: Samples
    unread: tuple[Unread, ...]
    """All that could not be read or understood, what is wrong with certificates too: for logs and statuses."""


def exposition(facts: Facts, scrapes: Scrapes | None, unread: Iterable[Unread] = ()) -> Exposition:
    """The numbers; `unread` is what of the scrapes could not be told, and None says that nothing could."""
    pods = pods_of(facts.inventory) if facts.inventory is not None else Pods()
    certificates = certificate_gauges(facts.certificates)
    wrong = tuple(Unread(Fact.CERTIFICATES, problem) for problem in certificates.problems)
    everything = (*facts.unread, *wrong, *unread)
    return Exposition(
        certificates=certificates,
        replicas=replica_gauges(facts.inventory.control_plane if facts.inventory is not None else None),
        meshed_pods=meshed_pods(pods),
        unmeshed_pods=unmeshed_pods(pods),
        refused_scrapes=refused_scrapes(scrapes, pods.meshed) if scrapes is not None else (),
        unscraped_proxies=unscraped_proxies(scrapes, pods.meshed) if scrapes is not None else (),
        upgrades=upgrades_in_progress(facts.upgrades),
        failed_features=failed_features(facts.conformance),
        unread_facts=unread_facts(everything),
        unread=everything,
    )
