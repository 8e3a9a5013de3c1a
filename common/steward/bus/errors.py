"""What can go wrong on the bus.

BusError
├── BusUnreachable    no server answered in time
├── BusRefused        the server knows us not, or does not let us do this
├── BusUnsuitable     the server is too old or has no JetStream
├── BusClosed         the connection is gone for good; the process must end and start again
├── StreamMissing     a stream or a consumer that should be there is not
├── EventTooLarge     more bytes than the server takes
├── PublishFailed     the event is certainly not stored
│   └── SubjectTaken  because its subject, which may hold one message only, has one
├── PublishUnknown    the deadline passed; the event may or may not be stored, publishing it again is safe
├── NobodyListens     a question was put where nobody answers questions
├── AnswerLate        a question was put, and no answer came in time
├── LockLost          somebody else may hold the lock by now
└── ApiError          JetStream said no, with its own code
"""

from steward.errors import StewardError


class BusError(StewardError):
    """Base of everything that goes wrong on the bus."""


class BusUnreachable(BusError):
    """No server answered in time."""


class BusRefused(BusError):
    """The server knows us not, or does not let us do this."""


class BusUnsuitable(BusError):
    """The server is too old or has no JetStream."""


class BusClosed(BusError):
    """The connection is gone for good; the process must end and start again."""


class StreamMissing(BusError):
    """A stream or a consumer that should be there is not."""


class EventTooLarge(BusError):
    """An event has more bytes than the server takes."""


class PublishFailed(BusError):
    """The event is certainly not stored."""


class SubjectTaken(PublishFailed):
    """The message is not stored, because its subject may hold one message only and has one."""


class PublishUnknown(BusError):
    """The deadline passed: the event may or may not be stored. Publishing it again under its id is safe."""


class NobodyListens(BusError):
    """A question was put where nobody answers questions."""


class AnswerLate(BusError):
    """A question was put, and no answer came in time: whether it was heard is unknown."""


class LockLost(BusError):
    """Somebody else may hold the lock by now, so the work under it was stopped."""


class ApiError(BusError):
    """JetStream said no."""

    def __init__(self, subject: str, code: int, err_code: int, description: str) -> None:
        super().__init__(f"JetStream refused {subject}: {description} (code {code}, {err_code})")
        self.code = code
        self.err_code = err_code
        self.description = description
