"""How the metrics of a proxy can be wrong."""

from functools import cache

from steward.testing.dataplane.faults import Fault

FROZEN = Fault("metrics-frozen", "no figure moves and none appears")
RESTLESS = Fault("metrics-restless", "every counter moves whenever it is read, though nothing happened")
COUNTED_TWICE = Fault("metrics-counted-twice", "every counter moves by two")


@cache
def missing(family: str) -> Fault:
    """The family is not exported."""
    return Fault(f"metrics-missing:{family}", f"{family} is not exported")


@cache
def renamed(family: str) -> Fault:
    """The family is exported under another name."""
    return Fault(f"metrics-renamed:{family}", f"{family} is exported as {other_name(family)}")


@cache
def frozen(family: str) -> Fault:
    """The family is exported and does not move."""
    return Fault(f"metrics-frozen:{family}", f"{family} no longer moves")


@cache
def counted_twice(family: str) -> Fault:
    """The counter moves by two for each event."""
    return Fault(f"metrics-counted-twice:{family}", f"{family} moves by two")


def other_name(family: str) -> str:
    """The name of a renamed family."""
    return f"proxy_{family}"
