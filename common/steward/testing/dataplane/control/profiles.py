"""ServiceProfiles: routes, retries and splits of the years before HTTPRoutes."""

from collections.abc import Iterator

from steward.jsonvalue import Json, JsonObject, dig, flag, rows, table, text, whole
from steward.testing.dataplane.config import Profile, ProfileRoute
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.annotations import length
from steward.testing.dataplane.control.discovery import Client, Directory
from steward.testing.dataplane.control.kinds import SERVICE_PROFILES


def profile_of(directory: Directory, service: JsonObject, port: int, client: Client) -> Profile | None:
    """The profile in force: one in the client's namespace is stronger than one beside the Service."""
    world = directory.world
    name = world.service_name(service)
    if directory.faults.on(broken.PROFILES_IGNORED, client):
        return None
    for namespace in dict.fromkeys((client.namespace, text(service, "metadata", "namespace"))):
        found = world.find(SERVICE_PROFILES, name, namespace) if namespace else None
        if found is not None:
            return _parsed(found, f"{name}:{port}")
    return None


def _parsed(profile: JsonObject, authority: str) -> Profile:
    budget = table(profile, "spec", "retryBudget")
    return Profile(
        authority=authority,
        routes=tuple(_route(one) for one in rows(profile, "spec", "routes")),
        retry_ratio=_number(budget.get("retryRatio"), 0.2),
        min_retries_per_second=whole(budget, "minRetriesPerSecond", default=10),
    )


def _route(route: JsonObject) -> ProfileRoute:
    conditions = list(_flat(table(route, "condition")))
    return ProfileRoute(
        name=text(route, "name"),
        path_regex=next((text(one, "pathRegex") for one in conditions if text(one, "pathRegex")), ""),
        method=next((text(one, "method") for one in conditions if text(one, "method")), ""),
        retryable=flag(route, "isRetryable"),
        timeout=length(text(route, "timeout")),
        failures=tuple(_failure(one) for one in rows(route, "responseClasses")),
    )


def _flat(condition: JsonObject) -> Iterator[JsonObject]:
    """A condition and those below its `all`."""
    yield condition
    for one in rows(condition, "all"):
        yield from _flat(one)


def _failure(response: JsonObject) -> tuple[int, int, bool]:
    status = table(response, "condition", "status")
    lowest = whole(status, "min", default=whole(status, "max"))
    return lowest, whole(status, "max", default=lowest), dig(response, "isFailure") is True


def _number(value: Json, default: float) -> float:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else default
