"""Files from the network that are worth nothing until their digest is right.

A file is known by its SHA-256 and kept under it. It is streamed to a temporary name, measured on the way, and renamed
only when the digest agrees; whatever else happens, it is deleted.
"""

import asyncio
import hashlib
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import BinaryIO

import httpx

from services.upgrader.edges.redaction import redact
from steward.errors import ToolError

_PREFIX = "sha256:"
_BLOCK = 1024 * 1024
_MOST_REDIRECTS = 5


class NotVerified(ToolError):
    """What was found is not what the digest names. It was deleted, or left alone where it is not ours."""


class NotFetched(ToolError):
    """The file could not be fetched; `transient` where trying again may help."""

    def __init__(self, message: str, *, transient: bool) -> None:
        super().__init__(message)
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Wanted:
    """One file: where it is, what it must be, and how large it may get."""

    url: str
    digest: str
    """`sha256:` and 64 hexadecimal digits."""
    largest: int
    executable: bool = False

    @property
    def file_name(self) -> str:
        """The last part of the address."""
        return self.url.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Verified:
    """Files whose digest was right, so that a large one is read again only when it has changed."""

    _known: set[tuple[Path, str, int, int, int]] = field(default_factory=set)

    async def verify(self, path: Path, digest: str, *, source: str = "") -> None:
        """Raise NotVerified unless the file has that digest."""
        known = (path, digest, *_fingerprint(path))
        if known in self._known:
            return
        found = await asyncio.to_thread(sha256, path)
        if found != digest:
            what = redact(source) if source else str(path)
            raise NotVerified(f"{what} has the digest {found}, and not {digest} as the catalog says: it is not used")
        self._known.add(known)


@dataclass(frozen=True, slots=True)
class Downloads:
    """A folder of verified files, and how further ones get there."""

    http: httpx.AsyncClient
    folder: Path
    within: timedelta = timedelta(minutes=10)
    verified: Verified = field(default_factory=Verified)

    async def fetch(self, wanted: Wanted) -> Path:
        """The verified file, from the folder or else from the network. Raise NotFetched or NotVerified."""
        kept = self.folder / wanted.digest.removeprefix(_PREFIX) / wanted.file_name
        if kept.is_file():
            try:
                await self.verified.verify(kept, wanted.digest)
            except NotVerified:
                # Not what was put there: a broken disk or somebody's hand. It is fetched again.
                kept.unlink()
            else:
                return kept
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        kept.parent.mkdir(mode=0o700, exist_ok=True)
        with _unfinished(kept.parent) as (target, path):
            await self._stream(wanted, target)
            target.flush()
            os.fsync(target.fileno())
            await self.verified.verify(path, wanted.digest, source=wanted.url)
            path.chmod(0o755 if wanted.executable else 0o600)
            path.replace(kept)
        return kept

    async def _stream(self, wanted: Wanted, target: BinaryIO) -> None:
        what = redact(wanted.url)
        try:
            async with asyncio.timeout(self.within.total_seconds()):
                await self._copy(wanted, target)
        except TimeoutError:
            seconds = self.within.total_seconds()
            raise NotFetched(f"{what} was not complete after {seconds:g} s", transient=True) from None
        except httpx.TooManyRedirects:
            raise NotFetched(f"{what} redirects more than {_MOST_REDIRECTS} times", transient=False) from None
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise NotFetched(f"{what} could not be fetched: {redact(reason)}", transient=True) from error

    async def _copy(self, wanted: Wanted, target: BinaryIO) -> None:
        async with self.http.stream("GET", wanted.url, follow_redirects=True) as answer:
            what = redact(wanted.url)
            if wanted.url.startswith("https:") and answer.url.scheme != "https":
                raise NotFetched(f"{what} redirects to an address without TLS", transient=False)
            if answer.status_code != httpx.codes.OK:
                busy = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
                raise NotFetched(f"{what} answered with HTTP {answer.status_code}", transient=busy)
            size = 0
            async for block in answer.aiter_bytes(_BLOCK):
                size += len(block)
                if size > wanted.largest:
                    raise NotFetched(f"{what} is larger than {wanted.largest} bytes", transient=False)
                target.write(block)


def _fingerprint(path: Path) -> tuple[int, int, int]:
    """Changes when the file does."""
    state = path.stat()
    return state.st_ino, state.st_mtime_ns, state.st_size


def sha256(path: Path) -> str:
    """`sha256:` and the digest of the file."""
    with path.open("rb") as file:
        return _PREFIX + hashlib.file_digest(file, "sha256").hexdigest()


def http_client() -> httpx.AsyncClient:
    """A client for large files over slow networks, with a limit on each wait."""
    timeout = httpx.Timeout(60, connect=10)
    return httpx.AsyncClient(timeout=timeout, max_redirects=_MOST_REDIRECTS, headers={"User-Agent": "linkerd-steward"})


@contextmanager
def _unfinished(folder: Path) -> Iterator[tuple[BinaryIO, Path]]:
    handle, name = tempfile.mkstemp(prefix=".unfinished-", dir=folder)
    path = Path(name)
    try:
        with os.fdopen(handle, "wb") as target:
            yield target, path
    finally:
        path.unlink(missing_ok=True)
