"""A proxy whose trust anchors are not those of the mesh, as after a rotation that its pod did not notice."""

from dataclasses import replace

from steward.clock import Clock
from steward.testing.dataplane.config import ProxySettings
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.proxy.inbound_faults import ANCHORS_DRIFTED
from steward.testing.dataplane.proxy.ports import Credentials
from steward.testing.dataplane.proxy.tls import Identity
from steward.testing.linkerd.certificates import ANCHOR_NAME, Authority, Validity


def drifting(credentials: Credentials, settings: ProxySettings, faults: Faults, clock: Clock) -> Credentials:
    """The same certificate; with the fault, an anchor that nobody else has."""
    foreign: list[str] = []

    def current() -> Identity | None:
        own = credentials()
        if own is None or not faults.on(ANCHORS_DRIFTED, settings):
            return own
        if not foreign:
            foreign.append(Authority.self_signed(ANCHOR_NAME, Validity.around(clock.now())).pair.certificate)
        return replace(own, anchors=foreign[0])

    return current
