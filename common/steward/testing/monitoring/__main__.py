"""`python -m steward.testing.monitoring build`: Prometheus and Alertmanager for tests, gathered into the cache."""

import argparse
import sys

from steward.errors import StewardError
from steward.testing.monitoring.debian import NotOffered
from steward.testing.monitoring.tools import Generation, monitoring_tools
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.toolbox import GoMissing


def main(arguments: list[str] | None = None) -> int:
    """Run one command; an expected failure is one line on standard error."""
    parser = argparse.ArgumentParser(prog="python -m steward.testing.monitoring", description=__doc__)
    parser.add_argument("command", choices=["build"])
    parser.add_argument(
        "--where-possible", action="store_true", help="outside of CI, a machine without Go is told so and not refused"
    )
    given = parser.parse_args(arguments)
    settings = ToolboxSettings.from_environment()
    try:
        _say(str(monitoring_tools(settings).directory))
        _old(settings)
    except GoMissing as missing:
        lenient = given.where_possible and not settings.ci
        _say(f"[steward] {missing}; tests that need them are skipped" if lenient else f"error: {missing}", error=True)
        return 0 if lenient else 1
    except StewardError as failed:
        _say(f"error: {failed}", error=True)
        return 1
    return 0


def _old(settings: ToolboxSettings) -> None:
    try:
        _say(str(monitoring_tools(settings, Generation.OLD).directory))
    except NotOffered as absent:
        _say(f"[steward] {absent}; tests with the old pair are skipped", error=True)


def _say(line: str, *, error: bool = False) -> None:
    (sys.stderr if error else sys.stdout).write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
