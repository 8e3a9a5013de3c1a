"""A folder of files that somebody else reads: written whole, each by a rename, never half."""

import os
from collections.abc import Mapping
from pathlib import Path

from steward.errors import ConfigurationError

_PUBLIC, _SECRET = 0o644, 0o640
_FRESH = ".fresh"


class Folder:
    """Exactly the files it is told, and none of anybody else's: only names that end in `suffix` are its own."""

    def __init__(self, path: Path, suffix: str, *, secret: bool = False) -> None:
        self.path = path
        self._suffix = suffix
        self._mode = _SECRET if secret else _PUBLIC

    def read(self) -> dict[str, str]:
        """File name → content."""
        try:
            files = [each for each in sorted(self.path.glob(f"*{self._suffix}")) if each.is_file()]
            return {each.name: each.read_text(encoding="utf-8") for each in files}
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"the files in {self.path} cannot be read: {error}") from error

    def write(self, contents: Mapping[str, str]) -> bool:
        """Make it so; True where anything changed. Raise ConfigurationError where the folder cannot be written."""
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            changed = [name for name, content in contents.items() if self._put(name, content)]
            gone = [each for each in self.path.glob(f"*{self._suffix}") if each.name not in contents]
            # A process that died while it wrote left half a file, perhaps of a secret.
            for each in (*gone, *self.path.glob(f".*{self._suffix}{_FRESH}")):
                each.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{self.path} cannot be written: {error.strerror}; give the service a volume there that it may write"
            ) from error
        return bool(changed or gone)

    def _put(self, name: str, content: str) -> bool:
        if "/" in name or not name.endswith(self._suffix):
            raise ConfigurationError(f"{name!r} is no file of {self.path}: a name without slashes, with {self._suffix}")
        target = self.path / name
        wanted = content.encode()
        if target.is_file() and target.read_bytes() == wanted:
            return False
        # A dot in front hides it from the patterns by which rules are loaded.
        fresh = target.with_name(f".{name}{_FRESH}")
        descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, self._mode)
        with os.fdopen(descriptor, "wb") as file:
            file.write(wanted)
            file.flush()
            os.fsync(file.fileno())
        fresh.rename(target)
        return True
