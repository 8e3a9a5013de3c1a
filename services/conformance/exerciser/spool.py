"""Reports that are not told yet, one small file each: they outlive the bus, the process and the container."""

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from services.conformance.core.carriage import report_subject
from steward.events.subjects import part, token

_REPORT = ".report"
_ORDER = ".order"
_DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Waiting:
    """A report that waits to be told."""

    order: str
    run: str
    file: Path

    def data(self) -> bytes:
        """The packed report; empty where it was dropped meanwhile."""
        try:
            return self.file.read_bytes()
        except FileNotFoundError:
            return b""

    def subject(self, cluster: str) -> str:
        """Where it is told."""
        return report_subject(cluster, self.run, self.order)


class Spool:
    """A folder. What `keep` returned for is on the disk; the oldest is dropped, and counted, where there is too much.

    File names begin with a number that only grows: that is the order in which reports are told.
    """

    def __init__(self, folder: Path, *, run: str, most: int, most_bytes: int) -> None:
        self._folder = folder
        self._run = run
        self._most = most
        self._most_bytes = most_bytes
        folder.mkdir(parents=True, exist_ok=True)
        for unfinished in folder.glob("*.new"):
            unfinished.unlink()
        self._sizes = {file: file.stat().st_size for file in sorted(folder.glob(f"*{_REPORT}"))}
        self._next = max((int(file.name.partition(".")[0]) for file in self._sizes), default=0) + 1
        with suppress(FileNotFoundError, ValueError):
            self.dropped = int((folder / _DROPPED).read_text())

    dropped: int = 0
    """How many reports were given up for lack of room, since the folder was made."""

    def __len__(self) -> int:
        return len(self._sizes)

    def keep(self, order: str, data: bytes) -> None:
        """Keep a packed report until it is told. The note that its order was taken is no longer needed."""
        while self._sizes and (len(self._sizes) >= self._most or self._total() + len(data) > self._most_bytes):
            self._drop(next(iter(self._sizes)))
        file = self._folder / f"{self._next:012d}.{token(self._run)}.{token(order)}{_REPORT}"
        self._next += 1
        self._write(file, data)
        self._sizes[file] = len(data)
        self._taken(order).unlink(missing_ok=True)

    def waiting(self) -> Iterator[Waiting]:
        """What waits, the oldest first."""
        for file in tuple(self._sizes):
            _, run, order, _ = file.name.split(".")
            yield Waiting(order=part(order), run=part(run), file=file)

    def told(self, waiting: Waiting) -> None:
        """It has arrived."""
        self._sizes.pop(waiting.file, None)
        waiting.file.unlink(missing_ok=True)

    def take(self, order: str) -> None:
        """Note that an order is about to be done, in case that we do not live to see its end."""
        # Not forced to the disk: it helps where the process ends, and where the machine does the asker gives up.
        self._taken(order).touch()

    def interrupted(self) -> tuple[str, ...]:
        """Orders that were taken and have no report: we ended in the middle of them."""
        return tuple(part(file.name.removesuffix(_ORDER)) for file in sorted(self._folder.glob(f"*{_ORDER}")))

    def _taken(self, order: str) -> Path:
        return self._folder / f"{token(order)}{_ORDER}"

    def _total(self) -> int:
        return sum(self._sizes.values())

    def _drop(self, file: Path) -> None:
        self.dropped += 1
        self._write(self._folder / _DROPPED, str(self.dropped).encode())
        self._sizes.pop(file, None)
        file.unlink(missing_ok=True)

    def _write(self, file: Path, data: bytes) -> None:
        """All of it or nothing, also where the power fails."""
        new = file.with_name(f"{file.name}.new")
        with new.open("wb") as writing:
            writing.write(data)
            writing.flush()
            os.fsync(writing.fileno())
        new.rename(file)
        folder = os.open(self._folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
