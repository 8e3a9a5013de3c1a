"""Lines of a proxy's access log, in the two formats that it knows (`linkerd/tracing/src/access_log.rs` of the proxy).

apache  10.42.0.63:51160 <identity or -> - [2026-11-21T12:00:00.5Z] "GET http://web:8080/a HTTP/2.0" 200
json    {"client.addr": "10.42.0.63:51160", "client.id": "…", "method": "GET", "uri": "…", "status": 200, …}

What a client of the mesh asked has the whole address and HTTP/2.0, as it came from the other proxy.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum


class AccessFormat(StrEnum):
    """What the annotation `config.linkerd.io/access-log` may say."""

    APACHE = "apache"
    JSON = "json"


@dataclass(frozen=True, slots=True)
class AccessLine:
    """One request."""

    client: str
    """Its identity, `-` without one."""
    method: str
    uri: str
    status: int


_APACHE = re.compile(r'\S+:\d+ (\S+) - \[[^\]]+\] "([A-Z]+) (\S+) HTTP/[0-9.]+" (\d{3})')
_MEMBERS = ("client.addr", "client.id", "timestamp", "method", "uri", "version", "status")


def access_line(line: str, wanted: AccessFormat) -> AccessLine | None:
    """The request that a line is about; None where it is no line of that format."""
    if wanted is AccessFormat.JSON:
        return _json(line)
    found = _APACHE.fullmatch(line.strip())
    return AccessLine(found[1], found[2], found[3], int(found[4])) if found else None


def _json(line: str) -> AccessLine | None:
    try:
        said = json.loads(line)
    except ValueError:
        return None
    if not isinstance(said, Mapping) or any(member not in said for member in _MEMBERS):
        return None
    status = said["status"]
    if not isinstance(status, int):
        return None
    return AccessLine(str(said["client.id"]), str(said["method"]), str(said["uri"]), status)
