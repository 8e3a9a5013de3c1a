"""A folder that is either wholly there or not at all, in which a change is handed to somebody else."""

import json
import os
import shutil
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from steward.jsonvalue import Json, text
from steward.linkerd.version import Version

_CHANGE = "change.json"


@dataclass(frozen=True, slots=True)
class Handover:
    """The folder of one step of one run."""

    root: Path
    run: str
    step: str

    @property
    def path(self) -> Path:
        """Where it is."""
        return self.root / self.run / self.step

    def made_for(self, target: Version, operations: Iterable[str]) -> bool:
        """Whether the change that is there was written for that target by one of the operations."""
        change = self._change()
        return text(change, "to") == str(target) and text(change, "operation") in set(operations)

    def operation(self) -> str:
        """The operation that wrote it, empty where nothing is there."""
        return text(self._change(), "operation")

    def write(self, files: Mapping[str, str]) -> None:
        """Put the files there, in place of an earlier change."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        unfinished = Path(tempfile.mkdtemp(prefix=".unfinished-", dir=self.path.parent))
        # The owner's tool runs as somebody else.
        unfinished.chmod(0o755)
        try:
            for name, content in files.items():
                _write(unfinished / name, content)
            if self.path.exists():
                # A folder cannot replace one that is not empty. Between the two renames there is none, which reads as
                # not yet handed over.
                replaced = unfinished.with_name(f"{unfinished.name}-replaced")
                self.path.rename(replaced)
                shutil.rmtree(replaced)
            unfinished.rename(self.path)
        finally:
            shutil.rmtree(unfinished, ignore_errors=True)

    def _change(self) -> Json:
        try:
            parsed: Json = json.loads((self.path / _CHANGE).read_text())
        except (OSError, ValueError):
            return None
        return parsed


def _write(path: Path, content: str) -> None:
    with path.open("w", encoding="utf-8") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
