"""Moments as Kubernetes' `MicroTime` writes them."""

from datetime import UTC, datetime


def micro_time(moment: datetime) -> str:
    """Such as 2026-08-22T10:00:00.123456Z."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def read_micro_time(said: str) -> datetime | None:
    """The moment; None where it is none, or has no time zone."""
    try:
        found = datetime.fromisoformat(said)
    except ValueError:
        return None
    return found if found.tzinfo is not None else None
