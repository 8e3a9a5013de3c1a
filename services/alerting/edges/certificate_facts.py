"""Certificates of the control plane, of viz, and cert-manager's plans for them: one look at a dozen objects by name.

Of a Secret its certificate is taken, and the rest of it is let go at once.
"""

from dataclasses import dataclass

from services.alerting.core.exported.certificates import (
    Caller,
    CertificatesSeen,
    Holding,
    Kind,
    Standing,
    anchors_in,
    caller_of_api,
    callers_in,
    issuer_in,
    serving_in,
)
from services.alerting.core.exported.renewals import Renewal, renewal_of
from services.alerting.core.exported.unread import Fact
from services.alerting.edges.looking import Look, Memory, Question
from steward.kube.client import Kube
from steward.kube.errors import NotFound
from steward.kube.resources import API_SERVICES, CONFIG_MAPS, MUTATING_WEBHOOKS, SECRETS, Resource
from steward.linkerd.certificates import ISSUER_SECRET
from steward.linkerd.mesh_config import TRUST_ROOTS
from steward.mesh.certificates import WEBHOOKS

CERT_MANAGER = Resource("cert-manager.io", "v1", "certificates", "Certificate")
_VIZ_WEBHOOKS: tuple[tuple[Resource, str, str], ...] = (
    (MUTATING_WEBHOOKS, "linkerd-tap-injector-webhook-config", "tap-injector-k8s-tls"),
    (API_SERVICES, "v1alpha1.tap.linkerd.io", "tap-k8s-tls"),
)


@dataclass(frozen=True, slots=True)
class _Webhook:
    """Who is called, and who calls."""

    namespace: str
    resource: Resource
    configuration: str
    secret: str


class CertificateFacts:
    """The certificates of the mesh whose control plane is in `namespace`."""

    def __init__(self, kube: Kube, namespace: str) -> None:
        self._kube = kube
        self._namespace = namespace
        self._holdings: Memory[Holding] = Memory(kube.clock)
        self._callers: Memory[tuple[Caller, ...]] = Memory(kube.clock)
        self._renewals: Memory[tuple[Renewal, ...]] = Memory(kube.clock)

    async def seen(self, look: Look, viz: tuple[str, ...]) -> CertificatesSeen:
        """Everything about certificates; `viz` are the namespaces of that extension. Raises nothing of the API's."""
        # One after the other: nothing waits for this, and a failure leaves no request behind without an owner.
        holdings = [await self._anchors(look), await self._issuer(look)]
        callers: tuple[Caller, ...] = ()
        renewals: tuple[Renewal, ...] = ()
        for webhook in self._webhooks(viz):
            serving = await self._serving(look, webhook)
            if serving.namespace == self._namespace or serving.standing is not Standing.ABSENT:
                holdings.append(serving)
                callers += await self._calling(look, webhook)
        for namespace in (self._namespace, *viz):
            renewals += await self._planned(look, namespace)
        return CertificatesSeen(tuple(holdings), callers, renewals)

    def _webhooks(self, viz: tuple[str, ...]) -> list[_Webhook]:
        own = [_Webhook(self._namespace, *each) for each in WEBHOOKS]
        return own + [_Webhook(namespace, *each) for namespace in viz for each in _VIZ_WEBHOOKS]

    async def _anchors(self, look: Look) -> Holding:
        async def read() -> Holding:
            return anchors_in(await self._kube.find(CONFIG_MAPS, TRUST_ROOTS, self._namespace), self._namespace)

        question = Question(Fact.CERTIFICATES, "get", CONFIG_MAPS, self._namespace, TRUST_ROOTS)
        unknown = Holding(Kind.TRUST_ANCHOR, self._namespace, TRUST_ROOTS, Standing.UNKNOWN)
        return await look.take(self._holdings, question, read()) or unknown

    async def _issuer(self, look: Look) -> Holding:
        async def read() -> Holding:
            return issuer_in(await self._kube.find(SECRETS, ISSUER_SECRET, self._namespace), self._namespace)

        question = Question(Fact.CERTIFICATES, "get", SECRETS, self._namespace, ISSUER_SECRET)
        unknown = Holding(Kind.ISSUER, self._namespace, ISSUER_SECRET, Standing.UNKNOWN)
        return await look.take(self._holdings, question, read()) or unknown

    async def _serving(self, look: Look, webhook: _Webhook) -> Holding:
        where = (webhook.namespace, webhook.secret)

        async def read() -> Holding:
            return serving_in(await self._kube.find(SECRETS, webhook.secret, webhook.namespace), *where)

        question = Question(Fact.CERTIFICATES, "get", SECRETS, *where)
        return await look.take(self._holdings, question, read()) or Holding(Kind.WEBHOOK, *where, Standing.UNKNOWN)

    async def _calling(self, look: Look, webhook: _Webhook) -> tuple[Caller, ...]:
        where = (webhook.namespace, webhook.secret)

        async def read() -> tuple[Caller, ...]:
            found = await self._kube.find(webhook.resource, webhook.configuration)
            if found is None:
                return ()
            return (caller_of_api(found, *where),) if webhook.resource == API_SERVICES else callers_in(found, *where)

        question = Question(Fact.CERTIFICATES, "get", webhook.resource, name=webhook.configuration)
        return await look.take(self._callers, question, read()) or ()

    async def _planned(self, look: Look, namespace: str) -> tuple[Renewal, ...]:
        async def read() -> tuple[Renewal, ...]:
            try:
                listing = await self._kube.list(CERT_MANAGER, namespace)
            except NotFound:
                return ()  # cert-manager is not installed, so it renews nothing
            return tuple(each for each in map(renewal_of, listing.items) if each is not None)

        question = Question(Fact.RENEWALS, "list", CERT_MANAGER, namespace)
        return await look.take(self._renewals, question, read()) or ()
