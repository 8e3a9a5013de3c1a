"""`inj.*`: what the injector does to pods, asked by dry runs, so that nothing is made and nothing is left behind."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

from services.conformance.core import objects as made
from services.conformance.core.evidence import Evidence, Turned, Would
from services.conformance.core.known_causes import cautious
from services.conformance.core.known_causes.reading import proxy_of
from services.conformance.core.probe import Cause, Control, Probe, check
from services.conformance.core.probes.nodes import EVERY_NODE
from services.conformance.core.stage import Need, Stage
from services.conformance.core.steps import Looked, Step, Tried
from steward.conformance.results import AssertionResult, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, rows, strings, table, text, texts, whole
from steward.kube.resources import DEPLOYMENTS, MUTATING_WEBHOOKS
from steward.linkerd.marks import PROXY_VERSION

_CONFIG = "config.linkerd.io/"
_INIT = "linkerd-init"
_INJECTOR = "linkerd-proxy-injector"
_WEBHOOK = "linkerd-proxy-injector-webhook-config"


def _pod(stage: Stage, name: str, *, namespace: str, annotations: Mapping[str, str]) -> JsonObject:
    """A pod with just these annotations."""
    pod = made.placed(made.bare_pod(stage, name), namespace)
    return pod | {"metadata": table(pod, "metadata") | {"annotations": dict(annotations)}}


@dataclass(frozen=True, slots=True)
class _Level:
    """One case of who asks for a proxy, and whether the pod gets one."""

    name: str
    meshed: bool
    annotations: Mapping[str, str]
    proxied: bool


_LEVELS = (
    _Level("namespace-asks", meshed=True, annotations={}, proxied=True),
    _Level("pod-declines", meshed=True, annotations={made.INJECT: "disabled"}, proxied=False),
    _Level("pod-asks", meshed=False, annotations={made.INJECT: "enabled"}, proxied=True),
    _Level("nobody-asks", meshed=False, annotations={}, proxied=False),
    _Level("pod-asks-nonsense", meshed=True, annotations={made.INJECT: "perhaps"}, proxied=False),
)


def _levels(stage: Stage) -> tuple[Step, ...]:
    return tuple(
        Tried(
            level.name,
            _pod(
                stage,
                f"inj-{level.name}",
                namespace=stage.meshed if level.meshed else stage.plain,
                annotations=level.annotations,
            ),
        )
        for level in _LEVELS
    )


def _admitted(evidence: Evidence, step: str) -> JsonObject | None:
    trial = evidence.trial(step)
    return trial.object if isinstance(trial, Would) else None


def _told(evidence: Evidence, step: str) -> str:
    trial = evidence.trial(step)
    if isinstance(trial, Turned):
        return f"refused with {trial.status}: {trial.message}"
    return "a proxy" if proxy_of(trial.object) is not None else "no proxy"


def _levels_hold(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return tuple(
        check(
            level.name.replace("-", " "),
            expected="a proxy" if level.proxied else "no proxy",
            observed=_told(evidence, level.name),
        )
        for level in _LEVELS
    )


def _annotated_step(stage: Stage) -> tuple[Step, ...]:
    wanted = {f"{_CONFIG}{name}": value for name, value in (*_RESOURCES.items(), *_SETTINGS_ANNOTATIONS.items())}
    return (Tried("annotated", _pod(stage, "inj-annotated", namespace=stage.meshed, annotations=wanted)),)


_RESOURCES = {
    "proxy-cpu-request": "11m",
    "proxy-cpu-limit": "22m",
    "proxy-memory-request": "33Mi",
    "proxy-memory-limit": "44Mi",
}
_SETTINGS = {
    "proxy-log-level": ("LINKERD2_PROXY_LOG", "error,linkerd=debug"),
    "proxy-log-format": ("LINKERD2_PROXY_LOG_FORMAT", "json"),
    "access-log": ("LINKERD2_PROXY_ACCESS_LOG", "apache"),
    "proxy-outbound-connect-timeout": ("LINKERD2_PROXY_OUTBOUND_CONNECT_TIMEOUT", "1234ms"),
    "proxy-inbound-connect-timeout": ("LINKERD2_PROXY_INBOUND_CONNECT_TIMEOUT", "123ms"),
    "proxy-outbound-discovery-cache-unused-timeout": ("LINKERD2_PROXY_OUTBOUND_DISCOVERY_IDLE_TIMEOUT", "7s"),
    "proxy-inbound-discovery-cache-unused-timeout": ("LINKERD2_PROXY_INBOUND_DISCOVERY_IDLE_TIMEOUT", "77s"),
    "default-inbound-policy": ("LINKERD2_PROXY_INBOUND_DEFAULT_POLICY", "all-authenticated"),
}
"""Annotation → the proxy's variable (`charts/partials/templates/_proxy.tpl`) and a value that nobody has by default."""
_SETTINGS_ANNOTATIONS = {name: value for name, (_, value) in _SETTINGS.items()}


def _environment(pod: JsonObject | None) -> dict[str, str]:
    return {text(each, "name"): text(each, "value") for each in rows(proxy_of(pod or {}) or {}, "env")}


def _resources_hold(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    proxy = proxy_of(_admitted(evidence, "annotated") or {}) or {}
    asked, limited = texts(proxy, "resources", "requests"), texts(proxy, "resources", "limits")
    return tuple(
        check(name, expected=value, observed=(asked if "request" in name else limited).get(resource, "nothing"))
        for name, value in _RESOURCES.items()
        for resource in ("cpu", "memory")
        if f"-{resource}-" in name
    )


def _settings_hold(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    environment = _environment(_admitted(evidence, "annotated"))
    return tuple(
        check(f"{name} becomes {variable}", expected=value, observed=environment.get(variable, "nothing"))
        for name, (variable, value) in _SETTINGS.items()
    )


_SKIPPED_IN, _SKIPPED_OUT, _SKIPPED_NET = "9901,9910-9912", "9902", "198.51.100.0/24"


def _skips(stage: Stage) -> tuple[Step, ...]:
    wanted = {
        f"{_CONFIG}skip-inbound-ports": _SKIPPED_IN,
        f"{_CONFIG}skip-outbound-ports": _SKIPPED_OUT,
        f"{_CONFIG}skip-subnets": _SKIPPED_NET,
    }
    return (Tried("skipping", _pod(stage, "inj-skipping", namespace=stage.meshed, annotations=wanted)),)


def _argument(pod: JsonObject | None, option: str) -> str:
    for container in rows(pod or {}, "spec", "initContainers"):
        if text(container, "name") == _INIT:
            arguments = strings(container, "args")
            return next((value for name, value in pairwise(arguments) if name == option), "")
    return ""


def _skips_hold(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    pod = _admitted(evidence, "skipping")
    wanted = (
        ("--inbound-ports-to-ignore", _SKIPPED_IN),
        ("--outbound-ports-to-ignore", _SKIPPED_OUT),
        ("--subnets-to-ignore", _SKIPPED_NET),
    )
    return tuple(
        check(
            f"{_INIT} {option}",
            expected=f"contains {value}",
            observed=_argument(pod, option) or "nothing",
            ok=set(value.split(",")) <= set(_argument(pod, option).split(",")),
        )
        for option, value in wanted
    )


def _merging(stage: Stage) -> tuple[Step, ...]:
    own = {f"{_CONFIG}opaque-ports": "9903"}
    return (
        Tried("own-list", _pod(stage, "inj-own-list", namespace=stage.meshed, annotations=own)),
        Tried("default-list", _pod(stage, "inj-default-list", namespace=stage.meshed, annotations={})),
    )


_OPAQUE = "LINKERD2_PROXY_INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION"


def _merging_holds(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    own = _environment(_admitted(evidence, "own-list")).get(_OPAQUE, "nothing")
    default = _environment(_admitted(evidence, "default-list")).get(_OPAQUE, "nothing")
    return (
        check("the pod's own list takes the place of the default", expected="9903", observed=own),
        check("a pod without one has the default", expected="a list", observed=default, ok="," in default),
    )


def _sidecar(stage: Stage) -> tuple[Step, ...]:
    return tuple(
        Tried(
            f"native-{wish}",
            _pod(
                stage,
                f"inj-native-{wish}",
                namespace=stage.meshed,
                annotations={f"{_CONFIG}proxy-enable-native-sidecar": wish},
            ),
        )
        for wish in ("true", "false")
    )


def _sits(pod: JsonObject | None) -> str:
    if pod is None or proxy_of(pod) is None:
        return "no proxy"
    names = [text(each, "name") for each in rows(pod, "spec", "initContainers")]
    return "a native sidecar" if text(proxy_of(pod) or {}, "name") in names else "a container like others"


def _sidecar_holds(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return (
        check("asked for", expected="a native sidecar", observed=_sits(_admitted(evidence, "native-true"))),
        check("declined", expected="a container like others", observed=_sits(_admitted(evidence, "native-false"))),
    )


def _version(stage: Stage) -> tuple[Step, ...]:
    return (Tried("plain", _pod(stage, "inj-version", namespace=stage.meshed, annotations={})),)


def _version_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    pod = _admitted(evidence, "plain") or {}
    noted = texts(pod, "metadata", "annotations").get(PROXY_VERSION, "nothing")
    tag = text(proxy_of(pod) or {}, "image").rpartition(":")[2] or "nothing"
    return (
        check("new pods get the proxy of the control plane", expected=str(stage.linkerd), observed=noted),
        check("its image says the same", expected=noted, observed=tag),
    )


def _diagnosis(stage: Stage) -> tuple[Step, ...]:
    return (
        Looked("why-webhook", MUTATING_WEBHOOKS, names=(_WEBHOOK,)),
        Looked("why-injector", DEPLOYMENTS, stage.linkerd_namespace, names=(_INJECTOR,)),
        *_version(stage),
    )


def _injects_nothing(_stage: Stage, evidence: Evidence) -> str | None:
    """The webhook fails open, so its silence is the only trace."""
    if "plain" not in evidence or _told(evidence, "plain") == "a proxy":
        return None
    hooks = evidence.objects("why-webhook") if "why-webhook" in evidence else ()
    injectors = evidence.objects("why-injector") if "why-injector" in evidence else ()
    where = "no webhook configuration" if not hooks else _availability(injectors)
    return f"a pod that asks for a proxy gets none; {where}"


def _availability(injectors: Iterable[JsonObject]) -> str:
    ready = [whole(each, "status", "readyReplicas") for each in injectors]
    return f"{ready[0]} replicas of the injector are ready" if ready else "there is no injector"


INJECTS_NOTHING = Cause(
    code="NOT_INJECTED",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_injects_nothing),
    message="The injector does not answer, and pods come up without a proxy and without an error.",
    expected="a pod that asks for a proxy gets one",
    disproof="A dry run of a pod in a meshed namespace comes back with the container linkerd-proxy.",
    remedy="See that linkerd-proxy-injector is available and that its webhook's caBundle fits its certificate.",
    command="kubectl run probe --image=none --dry-run=server -o yaml -n <namespace> | grep linkerd-proxy",
)


def _ignores(_stage: Stage, evidence: Evidence) -> str | None:
    tried = [step for step in ("annotated", "skipping", "own-list", "native-false", *_names()) if step in evidence]
    proxied = [step for step in tried if _told(evidence, step) == "a proxy"]
    return f"pods are injected, and differ from what was asked: {', '.join(proxied)}" if proxied else None


def _names() -> tuple[str, ...]:
    return tuple(level.name for level in _LEVELS)


ANNOTATION_IGNORED = Cause(
    code="ANNOTATION_IGNORED",
    rung=Rung.CONTROL_PLANE,
    seen=cautious(_ignores),
    message="The injector renders something else than the annotations ask for.",
    expected="each annotation changes the proxy as it is documented",
    disproof="A dry run with the same annotation shows its value in the pod.",
    remedy="Compare the annotation's name with the documentation of this version; unknown ones are ignored in silence.",
    command="kubectl get pod <pod> -o jsonpath='{.metadata.annotations}'",
)

CONTROL = Control(
    claim="A pod that declines has no proxy.",
    steps=lambda stage: (
        Tried(
            "declined",
            _pod(stage, "inj-control", namespace=stage.plain, annotations={made.INJECT: "disabled"}),
        ),
    ),
    proof=lambda _stage, evidence: (check("declined", expected="no proxy", observed=_told(evidence, "declined")),),
)


def _probe(id: str, claim: str, tier: Tier = Tier.FOUNDATION) -> Probe:
    return Probe(
        id=id,
        claim=claim,
        tier=tier,
        steps=_version,
        proof=_version_holds,
        control=CONTROL,
        causes=(INJECTS_NOTHING, ANNOTATION_IGNORED),
        diagnosis=_diagnosis,
        depends_on=("cp.webhook",),
    )


PROBES: tuple[Probe, ...] = (
    replace(
        _probe("inj.levels", "A pod gets a proxy where it or its namespace asks for one; the pod has the last word."),
        steps=_levels,
        proof=_levels_hold,
    ),
    _probe("inj.version", "New pods get the proxy that belongs to the control plane."),
    replace(
        _probe("inj.resources", "Annotations set what the proxy asks of its node.", Tier.DEPTH),
        steps=_annotated_step,
        proof=_resources_hold,
    ),
    replace(
        _probe("inj.annotations", "Annotations set how the proxy logs, waits and decides.", Tier.DEPTH),
        steps=_annotated_step,
        proof=_settings_hold,
    ),
    replace(
        _probe("inj.skip-ports", "Ports and networks that a pod skips pass by its proxy.", Tier.DEPTH),
        steps=_skips,
        proof=_skips_hold,
        needs=(Need.INIT_CONTAINER,),
    ),
    replace(
        _probe("inj.opaque-merge", "A pod's own list of opaque ports takes the place of the default one.", Tier.DEPTH),
        steps=_merging,
        proof=_merging_holds,
    ),
    replace(
        _probe("inj.native-sidecar", "A pod chooses whether its proxy is a native sidecar.", Tier.TRAFFIC),
        steps=_sidecar,
        proof=_sidecar_holds,
        needs=(Need.NATIVE_SIDECAR,),
        since="2.19",
    ),
    EVERY_NODE,
)
