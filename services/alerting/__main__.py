"""`python -m services.alerting`: the service as a process of its own."""

import sys

from services.alerting.metrics import METRICS
from services.alerting.service import serve
from services.alerting.settings import AlertingSettings
from steward.service.runtime import run

if __name__ == "__main__":
    sys.exit(run("alerting", AlertingSettings.load, METRICS, serve))
