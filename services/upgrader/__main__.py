"""`python -m services.upgrader`: the service as a process of its own."""

import sys

from services.upgrader.metrics import METRICS
from services.upgrader.service import serve
from services.upgrader.settings import UpgraderSettings
from steward.service.runtime import run

if __name__ == "__main__":
    sys.exit(run("upgrader", UpgraderSettings.load, METRICS, serve))
