"""Prometheus, promtool, Alertmanager and amtool, in the current generation and in an old one."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import assert_never

from steward.testing.monitoring import debian
from steward.testing.toolboxes.recipe import Program, Recipe
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.shelf import Report
from steward.testing.toolboxes.toolbox import Toolbox

MODULES = Path(__file__).parent / "modules"
_VERSION = "github.com/prometheus/common/version.Version"
_PROMETHEUS = "github.com/prometheus/prometheus"
_ALERTMANAGER = "github.com/prometheus/alertmanager"
TOOLBOX = Toolbox(
    name="monitoring",
    title="Prometheus and Alertmanager for tests",
    lasts="about six minutes on two cores",
    remedy="install Go 1.26 or newer",
    recipes=(
        Recipe(
            "prometheus",
            (
                Program(f"{_PROMETHEUS}/cmd/prometheus", "prometheus"),
                Program(f"{_PROMETHEUS}/cmd/promtool", "promtool"),
            ),
            ((_VERSION, f"{{{_PROMETHEUS}:prometheus}}"),),
            MODULES,
            # Clouds are many and slow to compile. promtool knows Kubernetes anyway.
            tags=("remove_all_sd", "enable_kubernetes_sd"),
        ),
        Recipe(
            "alertmanager",
            (
                Program(f"{_ALERTMANAGER}/cmd/alertmanager", "alertmanager"),
                Program(f"{_ALERTMANAGER}/cmd/amtool", "amtool"),
            ),
            ((_VERSION, f"{{{_ALERTMANAGER}:bare}}"),),
            MODULES,
            # Its page, which no Go module carries.
            placeholders=(f"{_ALERTMANAGER}/ui/app/dist/absent.txt",),
        ),
    ),
)


class Generation(StrEnum):
    """Which versions."""

    CURRENT = "current"
    """Pinned in `modules/`; Go builds them."""
    OLD = "old"
    """Prometheus 2.42 and Alertmanager 0.25, where this machine's apt offers them."""


@dataclass(frozen=True, slots=True)
class MonitoringTools:
    """The four programs of one generation, in one folder."""

    generation: Generation
    directory: Path

    @property
    def prometheus(self) -> Path:
        """The server that evaluates rules."""
        return self.directory / "prometheus"

    @property
    def promtool(self) -> Path:
        """Checks rules and configurations."""
        return self.directory / "promtool"

    @property
    def alertmanager(self) -> Path:
        """The server that notifies."""
        return self.directory / "alertmanager"

    @property
    def amtool(self) -> Path:
        """Checks Alertmanager's configurations and routes."""
        return self.directory / "amtool"


def monitoring_tools(
    settings: ToolboxSettings, generation: Generation = Generation.CURRENT, report: Report | None = None
) -> MonitoringTools:
    """The tools, gathered now if the cache does not have them.

    Raises `GoMissing` where the current ones cannot be built, and `NotOffered` where apt has no old ones.
    """
    match generation:
        case Generation.CURRENT:
            return MonitoringTools(generation, TOOLBOX.build(settings, report))
        case Generation.OLD:
            return MonitoringTools(generation, debian.unpack(settings, report))
        case _:
            assert_never(generation)
