"""What may be wrong with the installation: definitions, namespace, services, NATS. Pure."""

from collections.abc import Sequence

from steward.cli.check_facts import Definition, NatsFact, Workload
from steward.cli.check_report import Problem, Result, named
from steward.cli.explain import INSTALL

API_VERSION = "v1alpha1"
SERVICES = ("version-watcher", "upgrader", "nats")


def definition_problem(definitions: Sequence[Definition]) -> Problem | None:
    """A definition that is missing, not established, or of another version."""
    missing = [each.name for each in definitions if not each.installed]
    if missing:
        return Problem(f"{named(missing)}: not installed; {INSTALL}")
    idle = [each.name for each in definitions if not each.established]
    if idle:
        return Problem(f"{named(idle)}: not established; kubectl describe crd {idle[0]}")
    foreign = next((each for each in definitions if API_VERSION not in each.versions), None)
    if foreign is None:
        return None
    served = ", ".join(foreign.versions) or "nothing"
    return Problem(
        f"{foreign.name} serves {served}, and this command speaks {API_VERSION}; "
        "use the linkerd-steward of the installed version"
    )


def namespace_problem(namespaces: Sequence[str]) -> Problem | None:
    """No namespace of the extension, or more than one."""
    if not namespaces:
        return Problem(f"no namespace is labelled linkerd.io/extension=steward; {INSTALL}")
    if len(namespaces) > 1:
        says = f"{named(namespaces)} are all labelled linkerd.io/extension=steward; keep one"
        return Problem(says, Result.WARNING)
    return None


def workload_problem(workloads: Sequence[Workload], leader: str) -> Problem | None:
    """A service that is missing, not ready, or scaled to zero."""
    if not workloads and leader:
        says = f"they run outside the cluster, where they cannot be looked at: {leader} holds upgrader's Lease"
        return Problem(says, Result.WARNING)
    missing = [name for name in SERVICES if not any(each.name == name for each in workloads)]
    if missing:
        return Problem(f"{named(missing)}: not installed; {INSTALL}")
    unready = [each for each in workloads if each.ready < each.wanted]
    if unready:
        first = unready[0]
        states = ", ".join(
            f"{each.kind} {each.name} has {each.ready} of {each.wanted} replicas ready" for each in unready
        )
        return Problem(f"{states}; kubectl -n linkerd-steward describe {first.kind.lower()} {first.name}")
    asleep = [each.name for each in workloads if each.wanted == 0]
    return Problem(f"{named(asleep)}: scaled to zero", Result.WARNING) if asleep else None


def stream_problem(nats: NatsFact) -> Problem | None:
    """A stream that nobody made yet."""
    if not nats.missing:
        return None
    return Problem(f"{named(nats.missing)}: missing; the services make them when they start", Result.WARNING)


def dead_letter_problem(nats: NatsFact) -> Problem | None:
    """Events that were given up."""
    if not nats.dead_letters:
        return None
    return Problem(f"{nats.dead_letters} dead letters; linkerd steward dead-letters list", Result.WARNING)
