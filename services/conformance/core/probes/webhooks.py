"""`cp.webhook`: the API server asks the injector and the policy validator, and gets answers."""

from services.conformance.core.evidence import Evidence, Turned, Unseen, Would
from services.conformance.core.known_causes.reading import cautious, proxy_of
from services.conformance.core.objects import authorization_policy, bare_pod, mesh_tls, reference, server
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.probes.control_plane import is_true
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Looked, Step, Tried
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject
from steward.kube.resources import MUTATING_WEBHOOKS, PODS
from steward.linkerd.marks import COMPONENT, PROXY_CONTAINER

INJECTOR_WEBHOOK = "linkerd-proxy-injector-webhook-config"


def _webhook_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Tried("pod", bare_pod(stage, "probe-cp-webhook")),
        Tried("nonsense", _nonsense(stage)),
    )


def _nonsense(stage: Stage) -> JsonObject:
    """A policy that asks for two sets of identities at once, which no schema forbids and the validator does."""
    target = reference(server(stage, "probe-cp-webhook", {"app": "nobody"}, Port.HTTP))
    wanted = [reference(mesh_tls(stage, f"probe-cp-webhook-{number}", "*")) for number in (1, 2)]
    return authorization_policy(stage, "probe-cp-webhook", target, *wanted)


def _webhook_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    pod, nonsense = evidence.trial("pod"), evidence.trial("nonsense")
    injected = isinstance(pod, Would) and proxy_of(pod.object) is not None
    seen = (f"a container {PROXY_CONTAINER}" if injected else "no proxy") if isinstance(pod, Would) else _refusal(pod)
    refused = isinstance(nonsense, Turned)
    return (
        check("a pod that asks for it gets a proxy", expected=f"a container {PROXY_CONTAINER}", observed=seen),
        check(
            "policy that makes no sense is refused",
            expected="refused",
            observed=_refusal(nonsense) if isinstance(nonsense, Turned) else "accepted",
            ok=refused,
        ),
    )


def _refusal(turned: Turned) -> str:
    return f"refused with {turned.status}: {turned.message}"


def _webhook_control(stage: Stage) -> tuple[Step, ...]:
    return (Tried("plain", bare_pod(stage, "probe-cp-webhook", inject="disabled")),)


def _webhook_control_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    plain = evidence.trial("plain")
    if isinstance(plain, Turned):
        raise Unseen("plain", _refusal(plain))
    bare = proxy_of(plain.object) is None
    return (check("a pod that opts out is left alone", expected=True, observed=bare),)


def _failed_open(_stage: Stage, evidence: Evidence) -> str | None:
    trial = evidence.trial("pod")
    if isinstance(trial, Would) and proxy_of(trial.object) is None:
        return "the API server let the pod through without a proxy, and said nothing"
    return None


def _webhook_refused(_stage: Stage, evidence: Evidence) -> str | None:
    trial = evidence.trial("pod")
    if isinstance(trial, Turned) and ("webhook" in trial.message or trial.status >= 500):
        return _refusal(trial)
    return None


def _unselected(_stage: Stage, evidence: Evidence) -> str | None:
    configurations = evidence.objects("webhooks")
    return None if configurations else f"there is no MutatingWebhookConfiguration {INJECTOR_WEBHOOK}"


def _validator_open(_stage: Stage, evidence: Evidence) -> str | None:
    return (
        "a NetworkAuthentication that excludes what it does not include"
        if isinstance(evidence.trial("nonsense"), Would)
        else None
    )


def _webhook_diagnosis(stage: Stage) -> tuple[Step, ...]:
    return (
        Looked("webhooks", MUTATING_WEBHOOKS, names=(INJECTOR_WEBHOOK,)),
        Looked("injectors", PODS, stage.linkerd_namespace, labels=f"{COMPONENT}=proxy-injector"),
    )


def _no_injector(_stage: Stage, evidence: Evidence) -> str | None:
    pods = evidence.objects("injectors")
    ready = [pod for pod in pods if is_true(pod, "Ready")]
    return None if ready else f"{len(pods)} injector pods, none ready"


_FAILED_OPEN = Cause(
    code="NOT_INJECTED",
    rung=Rung.OBJECT,
    seen=cautious(_failed_open),
    message="New pods come up without a proxy: the webhook fails open.",
    expected=f"the dry run returns a pod with a container {PROXY_CONTAINER}",
    disproof="A dry-run pod with linkerd.io/inject: enabled comes back with a proxy.",
    remedy="See that the injector is ready and the webhook's caBundle fits; then restart the unmeshed pods.",
    command="kubectl run probe --image=x --dry-run=server -o yaml --annotations=linkerd.io/inject=enabled",
)
WEBHOOK = Probe(
    id="cp.webhook",
    claim="New pods get a proxy, and policy that makes no sense is refused.",
    tier=Tier.FOUNDATION,
    steps=_webhook_steps,
    proof=_webhook_proof,
    control=Control("A pod that opts out gets no proxy.", _webhook_control, _webhook_control_proof),
    diagnosis=_webhook_diagnosis,
    needs=(Need.SERVER_POLICY,),
    security=True,
    causes=(
        Cause(
            code="INJECTOR_DOWN",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_no_injector),
            message="No injector answers the webhook.",
            expected="a ready pod of linkerd-proxy-injector",
            disproof="The injector's pods are ready.",
            remedy="Bring linkerd-proxy-injector back; pods made meanwhile have no proxy and must be restarted.",
            command="kubectl get pods -n linkerd -l linkerd.io/control-plane-component=proxy-injector",
        ),
        Cause(
            code="WEBHOOK_ABSENT",
            rung=Rung.OBJECT,
            seen=cautious(_unselected),
            message="The API server does not know of the injector.",
            expected=f"a MutatingWebhookConfiguration {INJECTOR_WEBHOOK}",
            disproof="The configuration exists.",
            remedy="Install the control plane's chart again.",
            command="kubectl get mutatingwebhookconfigurations",
        ),
        _FAILED_OPEN,
        Cause(
            code="WEBHOOK_REFUSES",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_webhook_refused),
            message="The API server cannot call the injector, and fails closed: no pod can be made.",
            expected="the dry run passes",
            disproof="A dry-run pod is accepted.",
            remedy="Compare the webhook's caBundle with the Secret linkerd-proxy-injector-k8s-tls; look for an expiry.",
            command="linkerd check",
        ),
        Cause(
            code="VALIDATOR_OPEN",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_validator_open),
            message="The policy validator lets nonsense through.",
            expected="the dry run is refused",
            disproof="The same object is refused by hand.",
            remedy="See that linkerd-destination is ready and the webhook's caBundle fits its certificate.",
            command="kubectl get validatingwebhookconfigurations linkerd-policy-validator-webhook-config -o yaml",
        ),
    ),
)


PROBES = (WEBHOOK,)
