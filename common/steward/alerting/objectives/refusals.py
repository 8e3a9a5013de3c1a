"""Why something is not in force, and what people should know of something that is."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refused:
    """It is not in force. The sentence says why, and what to do."""

    reason: str
    """CamelCase, stable."""
    message: str


@dataclass(frozen=True, slots=True)
class Notice:
    """It is in force, but not quite as somebody may think."""

    about: str
    """Such as Service/web, or Rule/CheckoutTooSlow."""
    reason: str
    message: str
