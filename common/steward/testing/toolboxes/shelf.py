"""One folder of the cache: found by a key of everything that decides the outcome, and complete or not there.

It is filled under another name and renamed when it is complete, under a lock, so that two builders never meet and a
killed one leaves nothing behind.
"""

import fcntl
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

_MANIFEST = "complete.json"

Report = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Built:
    """A folder of binaries and the files that go with them."""

    directory: Path

    def path(self, name: str) -> Path:
        """The executable of that name."""
        return self.directory / name

    def complete(self) -> bool:
        """Whether all that was built is still there, byte for byte as long as it was."""
        try:
            sizes = json.loads((self.directory / _MANIFEST).read_text())
            return all((self.directory / name).stat().st_size == size for name, size in sizes.items())
        except (OSError, ValueError, AttributeError):
            return False


@dataclass(frozen=True, slots=True)
class Shelf:
    """A place in the cache for one thing in the version that `key` says."""

    root: Path
    name: str
    title: str
    key: str

    @property
    def built(self) -> Built:
        """What is there; may be incomplete or absent."""
        return Built(self.root / self.name / self.key)

    def fill(self, make: Callable[[Path], None], tell: Report) -> None:
        """Have `make` fill an empty folder, unless a complete one came to be while we waited for our turn."""
        target = self.built.directory
        with self._locked(tell):
            if self.built.complete():
                return
            target.parent.mkdir(parents=True, exist_ok=True)
            unfinished = target.with_name(f"{target.name}.unfinished")
            # The lock is ours, so a folder of this name is what a killed build left.
            shutil.rmtree(unfinished, ignore_errors=True)
            unfinished.mkdir()
            make(unfinished)
            files = (file for file in sorted(unfinished.rglob("*")) if file.is_file())
            sizes = {str(file.relative_to(unfinished)): file.stat().st_size for file in files}
            (unfinished / _MANIFEST).write_text(json.dumps(sizes, indent=1))
            shutil.rmtree(target, ignore_errors=True)
            unfinished.rename(target)

    @contextmanager
    def _locked(self, tell: Report) -> Iterator[None]:
        path = self.root / f"{self.name}.lock"
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                tell(f"another process builds {self.title}; waiting for it to leave {path}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield


def tell_people(line: str) -> None:
    """A line of progress on standard error."""
    sys.stderr.write(f"[steward] {line}\n")
    sys.stderr.flush()
