"""Run version_watcher as a process of its own: `python -m services.version_watcher`."""

import sys

from services.version_watcher.metrics import METRICS
from services.version_watcher.service import serve
from services.version_watcher.settings import VersionWatcherSettings
from steward.service.runtime import run


def main() -> int:
    """The exit code of the process."""
    return run("version-watcher", VersionWatcherSettings.load, METRICS, serve)


if __name__ == "__main__":
    sys.exit(main())
