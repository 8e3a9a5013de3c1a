"""What an observer of API requests is told; the chassis turns it into Prometheus metrics."""

from datetime import timedelta
from typing import Protocol


class RequestObserver(Protocol):
    """Hears of every request. Labels are bounded: `resource` is a plural, never a name."""

    def on_answer(self, method: str, resource: str, code: int, took: timedelta) -> None:
        """An answer came; `code` is 0 where none did."""

    def on_retry(self, method: str, resource: str, reason: str) -> None:
        """The same request is about to be sent again."""


class Unobserved:
    """Tells nobody."""

    def on_answer(self, method: str, resource: str, code: int, took: timedelta) -> None:
        """Nothing to do."""

    def on_retry(self, method: str, resource: str, reason: str) -> None:
        """Nothing to do."""


def resource_of(path: str) -> str:
    """The plural (and subresource) that a path is about: `pods`, `pods/eviction`, `deployments`."""
    parts = path.strip("/").split("/")
    rest = parts[2:] if parts[0] == "api" else parts[3:] if parts[0] == "apis" else []
    if not rest:
        return parts[0] or "root"
    if rest[0] == "namespaces" and len(rest) > 2 and rest[2] not in ("status", "finalize"):
        rest = rest[2:]
    return f"{rest[0]}/{rest[2]}" if len(rest) > 2 else rest[0]
