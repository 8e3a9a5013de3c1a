"""Causes that many probes share. Each reads what the diagnosis found, and says what it saw or nothing."""

from services.conformance.core.known_causes.control_plane import CP_STALE, CP_UNREACHABLE
from services.conformance.core.known_causes.objects import (
    ANCHOR_DRIFT,
    ENV_NOISE,
    NOT_INJECTED,
    SP_SHADOWS,
    UNDEFINED_PORT,
    VERSION_SKEW,
    skipped_port,
)
from services.conformance.core.known_causes.proxies import DETECT_TIMEOUT, NO_IDENTITY, POLICY_DENY, PROXY_STALE
from services.conformance.core.known_causes.reading import cautious
from services.conformance.core.known_causes.traffic import CNI_RULES, DATAPATH, DNS, NETPOL_4143

COMMON = (
    DNS,
    NOT_INJECTED,
    UNDEFINED_PORT,
    ANCHOR_DRIFT,
    VERSION_SKEW,
    CP_UNREACHABLE,
    CP_STALE,
    PROXY_STALE,
    NO_IDENTITY,
    POLICY_DENY,
    CNI_RULES,
    NETPOL_4143,
    ENV_NOISE,
)
"""What can be behind any failure, from the objects upward. `DATAPATH` says that none of these is."""

__all__ = [
    "ANCHOR_DRIFT",
    "CNI_RULES",
    "COMMON",
    "CP_STALE",
    "CP_UNREACHABLE",
    "DATAPATH",
    "DETECT_TIMEOUT",
    "DNS",
    "ENV_NOISE",
    "NETPOL_4143",
    "NOT_INJECTED",
    "NO_IDENTITY",
    "POLICY_DENY",
    "PROXY_STALE",
    "SP_SHADOWS",
    "UNDEFINED_PORT",
    "VERSION_SKEW",
    "cautious",
    "skipped_port",
]
