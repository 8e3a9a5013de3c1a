"""What the webhooks' double answers to one AdmissionReview; it reads the cluster per request, as the real one does."""

from dataclasses import dataclass

from steward.jsonvalue import JsonObject, dig, flag, rows, table, text
from steward.testing.cluster.follow import Followed
from steward.testing.linkerd.injection import Injection, Injector, Owner, inject

PROXY_INJECTOR = "linkerd-proxy-injector"
_NAMESPACE = "linkerd"


@dataclass(frozen=True, slots=True)
class Judgement:
    """One answered review."""

    webhook: str
    kind: str
    namespace: str
    name: str
    injected: bool
    dry_run: bool
    answer: JsonObject


class Admission:
    """Answers reviews: pods get what the injector would give them, everything else is allowed as it is."""

    def __init__(self, api: Followed) -> None:
        self._api = api

    async def judge(self, webhook: str, review: JsonObject) -> Judgement:
        """The answer to `review`, and what is worth remembering of it."""
        request = table(review, "request")
        kind, namespace = text(request, "kind", "kind"), text(request, "namespace")
        thing = table(request, "object")
        injection = Injection(thing, "not a pod")
        if webhook == PROXY_INJECTOR and kind == "Pod":
            injection = await self._inject(thing, namespace)
        name = text(thing, "metadata", "name") or text(thing, "metadata", "generateName")
        answer = injection.review_response(text(request, "uid"), thing)
        return Judgement(webhook, kind, namespace, name, injection.injected, flag(request, "dryRun"), answer)

    async def _inject(self, pod: JsonObject, namespace: str) -> Injection:
        config = await self._api.get(f"/api/v1/namespaces/{_NAMESPACE}/configmaps/linkerd-config")
        roots = await self._api.get(f"/api/v1/namespaces/{_NAMESPACE}/configmaps/linkerd-identity-trust-roots")
        injector = Injector.of(text(config, "data", "values"), text(roots, "data", "ca-bundle.crt"))
        home = await self._api.get(f"/api/v1/namespaces/{namespace}")
        return inject(pod, namespace=home, injector=injector, owner=await self._owner(pod, namespace))

    async def _owner(self, owned: JsonObject, namespace: str) -> Owner | None:
        """The workload that the pod belongs to in the end; a ReplicaSet stands for its Deployment."""
        owners = [owner for owner in rows(owned, "metadata", "ownerReferences") if dig(owner, "controller")]
        if not owners:
            return None
        kind, name = text(owners[0], "kind"), text(owners[0], "name")
        if kind == "ReplicaSet":
            above = await self._api.get(f"/apis/apps/v1/namespaces/{namespace}/replicasets/{name}")
            return await self._owner(above, namespace) or Owner(kind, name)
        return Owner(kind, name)
