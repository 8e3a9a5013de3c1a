"""What a run would make and need, before it makes anything. Pure."""

from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.text import Text

from steward.cli.output import grid, plain
from steward.conformance.catalogue import FeatureEntry, catalogue
from steward.jsonvalue import Json, JsonObject
from steward.resources.conformance_suite import ConformanceSuiteSpec

RIGHTS = (
    "namespaces of its own, by prefix: create, and delete where owner label and uid match",
    "in those only: pods, Deployments, StatefulSets, Services, ServiceAccounts, Secrets, policies, routes",
    "everywhere: read pods, Services, EndpointSlices, routes and Linkerd's control plane; change nothing",
    "dry runs: pods and Linkerd's resources, never stored",
)


@dataclass(frozen=True, slots=True)
class Plan:
    """The features, the namespaces, and what they cost at most."""

    features: tuple[FeatureEntry, ...]
    suite: ConformanceSuiteSpec

    def document(self) -> JsonObject:
        """For programs."""
        features: list[Json] = [each.feature for each in self.features]
        rights: list[Json] = list(RIGHTS)
        cost = self.suite.footprint
        return {
            "features": features,
            "namespaces": [f"{self.suite.where.prefix}-…-mesh", f"{self.suite.where.prefix}-…-plain"],
            "maxPods": cost.max_pods,
            "maxRequestsPerSecond": cost.max_requests_per_second,
            "cpuMillis": cost.cpu_millis,
            "memoryMebibytes": cost.memory_mebibytes,
            "rights": rights,
        }

    def report(self) -> RenderableType:
        """For people: what is made, what it costs, what is tried."""
        cost, where = self.suite.footprint, self.suite.where
        parts: list[RenderableType] = [
            plain("It would make, and delete again:", "bold"),
            plain(f"  namespaces {where.prefix}-…-mesh and -plain, gone {where.ttl_seconds} s after a crash"),
            plain(f"  at most {cost.max_pods} pods, {cost.cpu_millis} m of CPU, {cost.memory_mebibytes} MiB of memory"),
            plain(f"  at most {cost.max_requests_per_second} requests a second while it is continuous"),
            Text(""),
            plain("It needs the right to:", "bold"),
            *(plain(f"  {right}") for right in RIGHTS),
            Text(""),
            plain(f"It would try {len(self.features)} features:", "bold"),
        ]
        rows = [
            (one.feature, one.tier.value, one.safety.value, ", ".join(one.needs), one.claim) for one in self.features
        ]
        return Group(*parts, grid(("FEATURE", "TIER", "SAFETY", "NEEDS", "CLAIM"), rows))


def footprint(suite: ConformanceSuiteSpec, only: tuple[str, ...]) -> Plan:
    """What the suite would do, with `only` these features or groups."""
    wanted = {each.feature for pattern in suite.include for each in catalogue().meant(pattern)}
    unwanted = {each.feature for pattern in suite.exclude for each in catalogue().meant(pattern)}
    chosen = {each.feature for pattern in only for each in catalogue().meant(pattern)}
    return Plan(
        features=tuple(
            each
            for each in catalogue().features
            if each.safety in suite.allow
            and each.feature not in unwanted
            and (not wanted or each.feature in wanted)
            and (each.feature in chosen if only else each.tier in suite.tiers or each.feature in suite.include)
        ),
        suite=suite,
    )
