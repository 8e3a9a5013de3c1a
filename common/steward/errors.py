"""The errors of Linkerd Steward, and the two a handler raises on purpose.

    StewardError
    ├── ConfigurationError        a setting, flag or file is wrong; the message names it and the remedy
    ├── Answer                    what a handler tells the bus by raising
    │   ├── Retry(after)          deliver again later
    │   └── Reject(reason)        never again; the message goes to the dead letters
    ├── BusError                  (steward.bus) NATS refused, is too old, or cannot be reached
    ├── KubeError                 (steward.kube) the API server refused or cannot be reached
    └── ToolError                 (services) a subprocess such as helm or linkerd failed

Expected refusals (a gate that is red, a plan that does not match) are values, not exceptions.
"""

from datetime import timedelta


class StewardError(Exception):
    """Base of every error that Steward raises itself."""


class ConfigurationError(StewardError):
    """A setting, flag or file cannot be used. The message names it and says what to do."""


class Answer(StewardError):
    """What a handler tells the bus by raising instead of returning."""


class Retry(Answer):
    """Deliver this event again after `after`; the reason is logged and counted."""

    def __init__(self, after: timedelta, reason: str = "") -> None:
        super().__init__(reason or f"again in {after.total_seconds():g} s")
        self.after = after
        self.reason = reason


class Reject(Answer):
    """Never deliver this event again: it goes to the dead letters with `reason`."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ToolError(StewardError):
    """A command-line tool failed or gave an answer that cannot be read."""
