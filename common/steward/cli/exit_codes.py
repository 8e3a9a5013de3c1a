"""What a command ends with. Stable: scripts depend on it.

`linkerd steward …` makes 1 of every code that is not 0, because Linkerd drops the exit code of extensions; scripts that
tell them apart call `linkerd-steward`.
"""

from enum import IntEnum


class ExitCode(IntEnum):
    """The exit codes, with what each means."""

    OK = 0
    """Done, or healthy."""
    FAILED = 1
    """Refused, failed or unhealthy; the message says why."""
    USAGE = 2
    """A flag, an argument or a setting cannot be used."""
    NOT_FOUND = 3
    """An object that was named, or that is needed, does not exist."""
    NEEDS_ATTENTION = 4
    """A run is paused, blocked or stalled, alerting is blind or said nothing: a person must look."""
    UNREACHABLE = 5
    """The API server, NATS, Prometheus or Alertmanager cannot be reached."""
    FORBIDDEN = 6
    """The identity in use has no right to do this."""
    TIMEOUT = 124
    """`--timeout` passed first."""
    INTERRUPTED = 130
    """Ctrl-C."""


MEANINGS: dict[ExitCode, str] = {
    ExitCode.OK: "done, or healthy",
    ExitCode.FAILED: "refused, failed or unhealthy",
    ExitCode.USAGE: "a flag, an argument or a setting cannot be used",
    ExitCode.NOT_FOUND: "an object does not exist",
    ExitCode.NEEDS_ATTENTION: "a run is paused, blocked or stalled, or alerting is blind",
    ExitCode.UNREACHABLE: "the API server, NATS, Prometheus or Alertmanager cannot be reached",
    ExitCode.FORBIDDEN: "the identity in use has no right to do this",
    ExitCode.TIMEOUT: "--timeout passed first",
    ExitCode.INTERRUPTED: "Ctrl-C",
}
