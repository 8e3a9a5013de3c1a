"""When somebody else begins to count the requests of a target: a ServiceProfile appeared, or went away."""

from collections.abc import Iterable
from dataclasses import dataclass

from steward.resources.alert_policy import TargetStatus


@dataclass(frozen=True, slots=True)
class Flip:
    """A change of who counts."""

    target: str
    before: str
    after: str

    @property
    def message(self) -> str:
        """What it means, for people."""
        return (
            f"requests of {self.target} are counted by {self.after} and no longer by {self.before}: a client that goes "
            "on without a pause of five seconds counts as before until it is restarted, and both are asked meanwhile"
        )


def flips(before: Iterable[TargetStatus], after: Iterable[TargetStatus]) -> tuple[Flip, ...]:
    """The targets of both renderings that are counted by somebody else in the second one."""
    earlier = {status.target: status.metrics for status in before if status.metrics}
    return tuple(
        Flip(status.target, earlier[status.target], status.metrics)
        for status in after
        if status.metrics and status.target in earlier and earlier[status.target] != status.metrics
    )
