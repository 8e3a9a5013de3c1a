"""What the environment says about toolboxes; the only place here that reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True)
class ToolboxSettings:
    """Where binaries are kept. Read once per process, then passed on."""

    cache: Path
    """Binaries built from Go modules live here, outside the checkout."""
    ci: bool
    """Under `CI=true` a missing prerequisite fails the tests instead of skipping them."""
    environment: Mapping[str, str]
    """What child processes inherit."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read `environment`, by default that of the process."""
        given = dict(os.environ if environment is None else environment)
        home = Path(given.get("HOME") or Path.home())
        cache = Path(given.get("XDG_CACHE_HOME") or home / ".cache") / "linkerd-steward"
        return cls(cache=cache, ci=given.get("CI", "").lower() in ("1", "true", "yes"), environment=given)

    def child_environment(self, **changes: str) -> dict[str, str]:
        """The environment of a child process: inherited, with `changes`."""
        return {**self.environment, **changes}
