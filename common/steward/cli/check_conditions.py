"""What the conditions of resources say is wrong, for every part of `check` that asks them. Pure."""

from collections.abc import Iterable

from steward.cli.check_report import Problem, Result
from steward.resources.base import Condition, ConditionStatus, condition_of


def invalid_problem(resources: Iterable[tuple[str, tuple[Condition, ...]]]) -> Problem | None:
    """Those that their service refuses, by name and conditions; one that it has not looked at yet is not wrong."""
    said = []
    for name, conditions in resources:
        valid = condition_of(conditions, "Valid")
        if valid is not None and valid.status is ConditionStatus.FALSE:
            said.append(f"{name}: {valid.reason}: {valid.message}")
    return Problem("\n".join(said), Result.WARNING) if said else None
