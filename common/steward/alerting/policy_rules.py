"""A whole AlertPolicy as rules: the pack where it asks for it, its objectives, rules of its own."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from steward.alerting.monitoring import Monitoring
from steward.alerting.objectives.facts import MeshFacts
from steward.alerting.objectives.rendering import RenderedPolicy, rendered_policy
from steward.alerting.pack import shipped_pack
from steward.alerting.rendering import Rendered, render
from steward.alerting.rules import Group
from steward.resources.alert_policy import AlertPolicy, TargetStatus

RENDERED = "Rendered"
_OWN_RULES = "/rules"


@dataclass(frozen=True, slots=True)
class Whereabouts:
    """What policies are rendered for."""

    facts: MeshFacts
    monitoring: Monitoring
    home: str
    """Steward's own namespace: the policy for the control plane is there, and nowhere else."""
    runbooks: str = ""
    """Address that the pages of alerts are below."""


@dataclass(frozen=True, slots=True)
class PolicyRules:
    """The rules of one policy, and what became of each part of it."""

    pack: tuple[Group, ...] = ()
    found: RenderedPolicy = field(default_factory=RenderedPolicy)
    targets: tuple[TargetStatus, ...] = ()
    misplaced: str = ""
    """Why nothing of it can be, because of where it is."""

    @property
    def groups(self) -> tuple[Group, ...]:
        """All of them."""
        return (*self.pack, *self.found.groups)

    @property
    def own(self) -> tuple[Group, ...]:
        """Those whose queries somebody else wrote."""
        return tuple(group for group in self.found.groups if group.name.endswith(_OWN_RULES))

    @property
    def refused(self) -> tuple[TargetStatus, ...]:
        """What is not as it was asked for."""
        return tuple(each for each in self.targets if each.reason != RENDERED)


def policy_rules(policy: AlertPolicy, around: Whereabouts) -> PolicyRules:
    """Everything that the policy asks for."""
    found = rendered_policy(policy, around.facts, around.monitoring)
    if policy.spec.control_plane is None:
        return PolicyRules((), found, found.targets)
    if policy.metadata.namespace != around.home:
        message = (
            f"controlPlane belongs into a policy in the namespace {around.home!r}: in two namespaces it would tell "
            "everything twice"
        )
        return PolicyRules(misplaced=message)
    pack = render(shipped_pack(), around.monitoring, policy.spec.control_plane, runbooks=around.runbooks)
    return PolicyRules(pack.groups, found, (*_of_pack(pack), *found.targets))


def _of_pack(pack: Rendered) -> Iterator[TargetStatus]:
    """What is missing because a version has not got it is told, and is no fault of the policy."""
    for each in pack.left_out:
        yield TargetStatus(target=f"Alert/{each.alert}", reason=RENDERED, message=each.sentence)
    for each in pack.refused:
        yield TargetStatus(target=f"Alert/{each.alert}", reason=each.reason.value, message=each.sentence)
