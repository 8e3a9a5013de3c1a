"""The identity controller: issues leaves by the issuer in its Secret, as long as that leads to the anchors."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from steward.clock import Clock
from steward.errors import StewardError
from steward.jsonvalue import JsonObject
from steward.kube.resources import CORE_EVENTS, PODS, SECRETS
from steward.testing.dataplane.config import ProxySettings
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.settings import bundle_of
from steward.testing.dataplane.control.world import World, labels_of
from steward.testing.dataplane.faults import Faults
from steward.testing.dataplane.proxy.tls import Identity
from steward.testing.kubernetes.metadata import stamp
from steward.testing.linkerd.certificates import Authority, Pair, Trust, Validity
from steward.testing.linkerd.manifests import ISSUER_SECRET
from steward.testing.linkerd.objects import COMPONENT, opened
from steward.testing.linkerd.simulation.pods import is_ready
from steward.testing.linkerd.values import NAMESPACE

RENEWED_AT = 0.7
"""The share of its lifetime after which a leaf is renewed."""


class NoIdentity(StewardError):
    """No leaf: nobody answers, or there is no issuer."""


@dataclass(slots=True)
class IdentityController:
    """Shared by all identity pods of the mesh."""

    world: World
    faults: Faults
    clock: Clock
    lifetime: timedelta
    issued: int = 0
    _issuer: Pair | None = None
    _refused: tuple[str, str] = ("", "")
    """The issuer that was skipped, and the anchors that did not vouch for it."""
    _foreign: Authority | None = None
    _authorities: dict[str, Authority] = field(default_factory=dict)

    def is_up(self, place: ProxySettings | Client) -> bool:
        """Whether somebody answers."""
        if self.faults.on(broken.IDENTITY_DOWN, place):
            return False
        found = self.world.all(PODS, NAMESPACE)
        return any(labels_of(one).get(COMPONENT) == "identity" and is_ready(one) for one in found)

    def issue(self, settings: ProxySettings, *, validity: Validity | None = None) -> Identity:
        """A new leaf for a pod; NoIdentity where the controller is away. With a validity it is always issued."""
        if validity is None and not self.is_up(settings):
            raise NoIdentity("identity does not answer")
        name = self.world.identity(settings.account, settings.namespace)
        now = self.clock.now()
        valid = _whole_seconds(validity or Validity.around(now, self.lifetime))
        authority, chain = self._authority(settings, now)
        leaf = authority.issue_leaf(name, valid)
        self.issued += 1
        return Identity(name, leaf.certificate + chain, leaf.key, settings.trust_anchors, valid.end)

    def secret_changed(self) -> None:
        """Take the issuer in the Secret, if the anchors vouch for it; say so either way."""
        pair, bundle = self._stored(), bundle_of(self.world)
        if pair is None or not bundle or (pair.certificate, bundle) == self._refused:
            return
        if pair == self._issuer and not any(self._refused):
            return
        first = self._issuer is None
        if not signed_by(pair.parsed, bundle):
            self._refused = pair.certificate, bundle
            self._say(
                "IssuerUpdateSkipped",
                "Warning",
                "failed to verify issuer credentials: x509: certificate signed by unknown authority",
            )
            return
        self._issuer, self._refused = pair, ("", "")
        if not first:
            self._say("IssuerUpdated", "Normal", "Updated identity issuer")

    def _stored(self) -> Pair | None:
        content = opened(self.world.find(SECRETS, ISSUER_SECRET, NAMESPACE) or {})
        certificate = content.get("crt.pem") or content.get("tls.crt", "")
        key = content.get("key.pem") or content.get("tls.key", "")
        return Pair(certificate, key) if certificate and key else None

    def _authority(self, settings: ProxySettings, now: datetime) -> tuple[Authority, str]:
        if self.faults.on(broken.FOREIGN_ISSUER, settings):
            if self._foreign is None:
                self._foreign = _authority_of(Trust.for_helm(now).issuer)
            return self._foreign, self._foreign.pair.certificate
        if self._issuer is None:
            self.secret_changed()
        if self._issuer is None:
            raise NoIdentity(f"Secret {NAMESPACE}/{ISSUER_SECRET} has no issuer that the trust anchors vouch for")
        known = self._authorities.get(self._issuer.certificate)
        if known is None:
            known = self._authorities[self._issuer.certificate] = _authority_of(self._issuer)
        return known, self._issuer.certificate

    def _say(self, reason: str, kind: str, message: str) -> None:
        now = stamp(self.clock.now())
        event: JsonObject = {
            "metadata": {"generateName": "linkerd-identity."},
            "involvedObject": {"kind": "Deployment", "name": "linkerd-identity", "namespace": NAMESPACE},
            "reason": reason,
            "type": kind,
            "message": message,
            "source": {"component": "linkerd-identity"},
            "firstTimestamp": now,
            "lastTimestamp": now,
            "count": 1,
        }
        self.world.cluster.create(CORE_EVENTS, event, NAMESPACE)


def _whole_seconds(validity: Validity) -> Validity:
    """As certificates write it. Rounded up: cut off, a short life would end before its renewal."""
    return Validity(validity.start, (validity.end + timedelta(microseconds=999_999)).replace(microsecond=0))


def signed_by(certificate: x509.Certificate, bundle: str) -> bool:
    """Whether one of the anchors is the certificate, or has signed it."""
    for anchor in x509.load_pem_x509_certificates(bundle.encode()) if bundle.strip() else ():
        if anchor == certificate:
            return True
        try:
            certificate.verify_directly_issued_by(anchor)
        except (ValueError, TypeError, InvalidSignature):
            continue
        return True
    return False


def _authority_of(pair: Pair) -> Authority:
    key = load_pem_private_key(pair.key.encode(), None)
    if not isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        raise NoIdentity(f"an issuer with a key of type {type(key).__name__} cannot sign here")
    return Authority(pair, key)
