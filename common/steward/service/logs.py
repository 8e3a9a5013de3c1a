"""Structured logs: one line for each decision, act and answer, and no secret in any of them."""

import logging
import os
import re
import sys
from collections.abc import MutableMapping

import structlog
from structlog.typing import EventDict, FilteringBoundLogger, Processor, WrappedLogger

from steward.service.settings import LogFormat, LogSettings

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_SECRET_KEY = re.compile(r"(password|secret|token|seed|credential|authorization|private.?key)$", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|$)|(?<=://)[^/\s:@]+:[^/\s@]+(?=@)"
    r"|(?<=Bearer )[A-Za-z0-9._~+/=-]+",
    re.DOTALL,
)
_QUIET_GRPC = ("GRPC_VERBOSITY", "ERROR")
REDACTED = "[redacted]"


def redact(text: str) -> str:
    """`text` without private keys, passwords inside URLs, and bearer tokens."""
    return _SECRET_TEXT.sub(REDACTED, text)


def _redact_entry(_logger: WrappedLogger, _method: str, entry: EventDict) -> EventDict:
    return _redacted(entry)


def _redacted(entry: MutableMapping[str, object]) -> MutableMapping[str, object]:
    for key, value in entry.items():
        if _SECRET_KEY.search(key) and key != "fencing_token":
            entry[key] = REDACTED
        elif isinstance(value, str):
            entry[key] = redact(value)
        elif isinstance(value, dict):
            entry[key] = _redacted(dict(value))
    return entry


def _processors(settings: LogSettings) -> list[Processor]:
    render: Processor = (
        structlog.processors.JSONRenderer()
        if settings.format is LogFormat.JSON
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    return [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        # Tracebacks become text first: a secret may be inside an error's message.
        structlog.processors.format_exc_info,
        _redact_entry,
        render,
    ]


def logger(service: str, settings: LogSettings) -> FilteringBoundLogger:
    """A logger whose every line carries the service's name."""
    logger: FilteringBoundLogger = structlog.wrap_logger(
        structlog.PrintLogger(sys.stderr),
        processors=_processors(settings),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        service=service,
    )
    return logger


class _Forward(logging.Handler):
    """Hands the records of libraries, and of the SDK, to the structured log."""

    def __init__(self, target: FilteringBoundLogger) -> None:
        super().__init__()
        self._target = target

    def emit(self, record: logging.LogRecord) -> None:
        self._target.log(
            record.levelno,
            record.getMessage(),
            logger=record.name,
            exc_info=record.exc_info if record.exc_info else None,
        )


def adopt_library_logs(target: FilteringBoundLogger, settings: LogSettings) -> None:
    """Send what the SDK and libraries log the same way; the debugging of libraries stays out.

    To be called before gRPC is imported: it writes to standard error by itself, and then learns how much.
    """
    os.environ.setdefault(*_QUIET_GRPC)  # noqa: TID251 - it is told in no other way
    structlog.configure(
        processors=_processors(settings),
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[settings.level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    root = logging.getLogger()
    root.handlers = [_Forward(target)]
    root.setLevel(logging.WARNING)
    logging.getLogger("steward").setLevel(_LEVELS[settings.level])
