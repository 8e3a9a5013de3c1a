"""Codes of gRPC: their names in metrics, and which of them are failures."""

NAMES = (
    *("OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS"),
    *("PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED"),
    *("INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED"),
)
_FAILURES = frozenset({"2", "4", "7", "13", "14", "15"})
_SERVER_ERROR = 500


def name_of(code: str) -> str:
    """Of a number as it stands in `grpc-status`."""
    return NAMES[int(code)] if code.isdigit() and int(code) < len(NAMES) else ""


def classify(status: int, code: str) -> str:
    """As `response_total` does. A stream that ends without a code counts as a success."""
    return "failure" if status >= _SERVER_ERROR or code in _FAILURES else "success"
