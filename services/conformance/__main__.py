"""`python -m services.conformance`: the service as a process of its own."""

import sys

from services.conformance.metrics import METRICS
from services.conformance.service import serve
from services.conformance.settings import ConformanceSettings
from steward.service.runtime import run

if __name__ == "__main__":
    sys.exit(run("conformance", ConformanceSettings.load, METRICS, serve))
