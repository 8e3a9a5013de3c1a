"""What the environment says about the test cluster."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from steward.testing.toolboxes.settings import ToolboxSettings

_REPOSITORY = Path(__file__).resolve().parents[4]


@dataclass(frozen=True, slots=True)
class ClusterTestSettings(ToolboxSettings):
    """Where things are kept and found. Read once per process, then passed on."""

    kubeconfig: Path | None
    """A cluster of the user's own (`KUBECONFIG`): tests run there instead of on a throwaway one."""
    artifacts: Path | None
    """Linkerd's own CLI and charts (`STEWARD_LINKERD_ARTIFACTS`), one folder a version."""
    shared: Path
    """Recordings and rendered manifests (`STEWARD_SHARED`); may be absent."""
    real_injector: bool
    """A real injector will answer (`STEWARD_TEST_INJECTOR=real`): never stand in for it, wait for it."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] | None = None) -> Self:
        """Read `environment`, by default that of the process."""
        tools = ToolboxSettings.from_environment(environment)
        given = tools.environment
        return cls(
            cache=tools.cache,
            ci=tools.ci,
            environment=given,
            kubeconfig=_path(given.get("KUBECONFIG")),
            artifacts=_path(given.get("STEWARD_LINKERD_ARTIFACTS")),
            shared=_path(given.get("STEWARD_SHARED")) or _REPOSITORY.parent / "shared",
            real_injector=given.get("STEWARD_TEST_INJECTOR", "") == "real",
        )


def _path(value: str | None) -> Path | None:
    return Path(value).expanduser().resolve() if value else None
