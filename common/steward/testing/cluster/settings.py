"""What the environment says about the test cluster; the only place here that reads it."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[4]


@dataclass(frozen=True, slots=True)
class ClusterTestSettings:
    """Where things are kept and found. Read once per process, then passed on."""

    cache: Path
    """Binaries built from Go modules live here, outside the checkout."""
    kubeconfig: Path | None
    """A cluster of the user's own (`KUBECONFIG`): tests run there instead of on a throwaway one."""
    artifacts: Path | None
    """Linkerd's own CLI and charts (`STEWARD_LINKERD_ARTIFACTS`), one folder a version."""
    shared: Path
    """Recordings and rendered manifests (`STEWARD_SHARED`); may be absent."""
    real_injector: bool
    """A real injector will answer (`STEWARD_TEST_INJECTOR=real`): never stand in for it, wait for it."""
    ci: bool
    """Under `CI=true` a missing prerequisite fails the tests instead of skipping them."""
    environment: Mapping[str, str]
    """What child processes inherit."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> "ClusterTestSettings":
        """Read `environment`, by default that of the process."""
        given = dict(os.environ if environment is None else environment)
        home = Path(given.get("HOME") or Path.home())
        cache = Path(given.get("XDG_CACHE_HOME") or home / ".cache") / "linkerd-steward"
        return cls(
            cache=cache,
            kubeconfig=_path(given.get("KUBECONFIG")),
            artifacts=_path(given.get("STEWARD_LINKERD_ARTIFACTS")),
            shared=_path(given.get("STEWARD_SHARED")) or _REPOSITORY.parent / "shared",
            real_injector=given.get("STEWARD_TEST_INJECTOR", "") == "real",
            ci=given.get("CI", "").lower() in ("1", "true", "yes"),
            environment=given,
        )

    def child_environment(self, **changes: str) -> dict[str, str]:
        """The environment of a child process: inherited, with `changes`."""
        return {**self.environment, **changes}


def _path(value: str | None) -> Path | None:
    return Path(value).expanduser().resolve() if value else None
