"""The latest version: expected by a flag, asked of a feed, or taken to be this executable's own."""

import json
import urllib.error
import urllib.request
from urllib.parse import urlencode, urlsplit

from steward.jsonvalue import text
from steward.testing.linkerd.cli.seen import Seen

_TIMEOUT = 10


class LatestUnknown(Exception):
    """The feed did not say."""


def latest_version(seen: Seen) -> str:
    """The newest version of this executable's channel."""
    options = seen.options
    if options.expected:
        return options.expected
    if not options.feed:
        return options.release.version
    installation = text(seen.config or {}, "metadata", "uid") if options.names_installation else ""
    query = {"version": options.release.version, "uuid": installation or "unknown", "source": "cli"}
    address = f"{options.feed}?{urlencode(query)}"
    try:
        with urllib.request.urlopen(address, timeout=_TIMEOUT) as answer:
            document = json.load(answer)
    except urllib.error.URLError as error:
        raise LatestUnknown(f'Get "{address}": {_reason(error, address)}') from error
    except ValueError as error:
        raise LatestUnknown(str(error)) from error
    channel = options.release.version.partition("-")[0]
    latest = text(document, channel) if isinstance(document, dict) else ""
    if not latest:
        raise LatestUnknown(f"unsupported version channel: {options.release.version}")
    return latest


def _reason(error: urllib.error.URLError, address: str) -> str:
    if isinstance(error.reason, ConnectionRefusedError):
        return f"dial tcp {urlsplit(address).netloc}: connect: connection refused"
    return str(error.reason)
