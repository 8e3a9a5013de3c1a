"""What a proxy exports about itself: its build, its TLS, its process, its certificate.

The figures of the process are those of this one, which many simulated proxies share. There is no Tokio runtime to
look into: its families stand at rest.
"""

import os
import resource
import sys
import threading
import time
from datetime import timedelta
from itertools import product

from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.testing.dataplane.proxy.families import FAMILIES, Kind
from steward.testing.dataplane.proxy.inbound_context import InboundContext
from steward.testing.dataplane.proxy.inbound_faults import CIPHER_OLD
from steward.testing.dataplane.proxy.tls import Identity

_SUITES = "TLS13_AES_128_GCM_SHA256,TLS13_AES_256_GCM_SHA384,TLS13_CHACHA20_POLY1305_SHA256,"
_GROUPS = "X25519MLKEM768,X25519,secp256r1,secp384r1,"
_OLD_SUITES = "TLS13_CHACHA20_POLY1305_SHA256,"
_OLD_GROUPS = "X25519,secp256r1,secp384r1,"
_TOKIO = "tokio_rt_"
_OUTBOUND_LAYERS = product(("outbound",), ("http", "opaq", "tls"), ("balance", "endpoint", "forward"))
_LAYERS = (("inbound", "http", "logical"), *_OUTBOUND_LAYERS)


class Vitals:
    """Writes them into the figures of the proxy whenever a page is asked for."""

    def __init__(self, context: InboundContext) -> None:
        self._context = context
        self._metrics = context.metrics
        self._started = context.clock.now()
        self._certificate: Identity | None = None
        self._build()
        self._at_rest()

    def renewed(self) -> None:
        """The certificate in force is a new one, as of now."""
        self._certificate = self._context.credentials()
        self._metrics.gauge("control_identity_cert_refresh_timestamp_seconds", self._context.clock.now().timestamp())
        self._metrics.count("control_identity_cert_refreshes_total", result="ok")

    def refused(self) -> None:
        """A certificate was received that the proxy cannot use. Failed calls are not counted here, as in reality."""
        self._metrics.count("control_identity_cert_refreshes_total", result="error")

    def refresh(self) -> None:
        """Bring every figure up to date."""
        self._tls()
        self._identity()
        self._process()

    def _build(self) -> None:
        self._metrics.gauge(
            "proxy_build_info",
            1,
            version=_proxy_version(self._context.settings.version),
            git_sha="",
            date="",
            profile="release",
            vendor="simulated",
        )

    def _at_rest(self) -> None:
        for family in FAMILIES.values():
            if family.name.startswith((_TOKIO, "opentelemetry_")):
                move = self._metrics.gauge if family.kind is Kind.GAUGE else self._metrics.count
                move(family.name, 0)
        self._metrics.gauge("tokio_rt_workers", 1)
        for direction, protocol, name in _LAYERS:
            layer = {"direction": direction, "protocol": protocol, "name": name}
            for family_name in ("stack_create_total", "stack_drop_total", "stack_poll_total_ms"):
                self._metrics.count(family_name, 0, **layer)
            for ready in ("true", "false", "error"):
                self._metrics.count("stack_poll_total", 0, ready=ready, **layer)
        for result in ("ok", "error"):
            self._metrics.count("control_identity_cert_refreshes_total", 0, result=result)

    def _tls(self) -> None:
        old = self._context.broken(CIPHER_OLD)
        for suites, groups, present in ((_SUITES, _GROUPS, not old), (_OLD_SUITES, _OLD_GROUPS, old)):
            named = {"tls_suites": suites, "tls_kx_groups": groups}
            if present:
                rest = {"tls_rand": "AwsLcRs", "tls_key_provider": "AwsLcRs", "tls_fips": "false"}
                self._metrics.gauge("rustls_info", 1, **named, **rest)
            else:
                self._metrics.forget("rustls_info", **named)

    def _identity(self) -> None:
        own = self._context.credentials()
        if own is None:
            return
        if own != self._certificate:
            self.renewed()
        self._metrics.gauge("control_identity_cert_expiration_timestamp_seconds", own.not_after.timestamp())

    def _process(self) -> None:
        now = self._context.clock.now()
        usage = resource.getrusage(resource.RUSAGE_SELF)
        memory = float(usage.ru_maxrss) * (1 if sys.platform == "darwin" else 1024)
        self._metrics.gauge("process_start_time_seconds", self._started.timestamp())
        self._metrics.gauge("process_clock_time_seconds", now.timestamp())
        self._metrics.level("process_uptime_seconds_total", (now - self._started) / timedelta(seconds=1))
        self._metrics.level("process_cpu_seconds_total", time.process_time())
        self._metrics.gauge("process_resident_memory_bytes", memory)
        self._metrics.gauge("process_virtual_memory_bytes", memory)
        self._metrics.gauge("process_open_fds", len(os.listdir("/dev/fd")))
        self._metrics.gauge("process_max_fds", resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        self._metrics.gauge("process_threads", threading.active_count())
        for name, counted in (("receive", "tcp_read_bytes_total"), ("transmit", "tcp_write_bytes_total")):
            self._metrics.level(f"process_network_{name}_bytes_total", self._metrics.value(counted))


def _proxy_version(linkerd: str) -> str:
    """The number of the proxy that its logical version began with, or the release itself where nobody knows."""
    version, known = Version.maybe(linkerd), shipped()
    name = known.logical_of(version) if version is not None else None
    return next((each.proxy.removeprefix("v") for each in known.logical if each.name == name), linkerd)
