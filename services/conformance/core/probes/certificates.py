"""What certificates do over time: leaves are renewed before they end, and everybody trusts the same anchors."""

from collections.abc import Mapping

from services.conformance.core.diagnosis import ROOTS, Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.known_causes import ANCHOR_DRIFT, NO_IDENTITY
from services.conformance.core.known_causes.objects import anchors_of
from services.conformance.core.known_causes.proxies import expiries
from services.conformance.core.known_causes.reading import cautious, clock_of, pod_name, proxy_of
from services.conformance.core.orders import Fetch
from services.conformance.core.pages import Page
from services.conformance.core.probe import Cause, Probe, check
from services.conformance.core.probes.control_plane import NONE, listed, moment
from services.conformance.core.stage import Stage
from services.conformance.core.steps import Asked, Looked, Pages, Step
from services.conformance.core.targets import CLIENT, OTHER, UNMESHED, at_pod
from steward.conformance.results import AssertionResult, Safety, Tier
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import CONFIG_MAPS, CORE_EVENTS, PODS
from steward.linkerd.marks import COMPONENT, CONTROL_PLANE_NS
from steward.linkerd.mesh_config import BUNDLE, TRUST_ROOTS

RENEWED_AT = 0.7
"""Proxies renew when this share of a certificate's life is over."""
_LATE = 0.15
"""By how much of its life a renewal may be late before the proxy is called stuck."""
_REFRESHED = "control_identity_cert_refresh_timestamp_seconds"
_READ = {"client": CLIENT, "other": OTHER, "server": "sm"}
_KEY_EXCHANGE = "X25519MLKEM768"
_SUITE = "AES_256_GCM"


def _clock(stage: Stage) -> Asked:
    """Any order to an agent tells the time by its own clock, against which certificates are held."""
    return Asked("clock", UNMESHED, Fetch(target=at_pod(stage, CLIENT, 4191), path="/ready"))


def _leaves_proof(pages: str, whose: str, evidence: Evidence) -> tuple[AssertionResult, ...]:
    now = clock_of(evidence)
    left = {pod: expiry - now for pod, expiry in expiries(evidence.pages(pages)).items()}
    expired = [f"{pod} {-seconds:.0f} s ago" for pod, seconds in sorted(left.items()) if seconds <= 0]
    return (
        check(f"certificates of {whose} were read", expected="some", observed=f"{len(left)} proxies", ok=bool(left)),
        check(f"no certificate of {whose} has expired", expected=NONE, observed=listed(expired)),
    )


def expired_on(*pages: str) -> Cause:
    """Proxies on these pages carry a certificate that has expired."""

    def seen(_stage: Stage, evidence: Evidence) -> str | None:
        now = clock_of(evidence)
        read = {pod: expiry for name in pages for pod, expiry in expiries(evidence.pages(name)).items()}
        late = (
            [] if now is None else [f"{pod} {now - end:.0f} s ago" for pod, end in sorted(read.items()) if end <= now]
        )
        return f"expired: {', '.join(late)}" if late else None

    return Cause(
        code="LEAF_EXPIRED",
        rung=Rung.PROXY,
        seen=cautious(seen),
        message="A proxy whose certificate has expired never renews it, and readiness and `linkerd check` stay green.",
        expected="control_identity_cert_expiration_timestamp_seconds lies in the future",
        disproof="The expiry on the proxy's page is later than the clock.",
        remedy="See that linkerd-identity answers; then restart these pods, those of the control plane first.",
        command="linkerd diagnostics proxy-metrics -n <namespace> po/<pod> | grep cert_expiration",
    )


def _control_plane_steps(stage: Stage) -> tuple[Step, ...]:
    read = Pages("control-plane", of="", by=UNMESHED, namespace=stage.linkerd_namespace, labels=COMPONENT)
    return (read, _clock(stage))


def _control_plane_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return _leaves_proof("control-plane", "the control plane", evidence)


CONTROL_PLANE_LEAVES = Probe(
    id="cp.leaves",
    claim="No proxy of the control plane has an expired certificate.",
    tier=Tier.FOUNDATION,
    steps=_control_plane_steps,
    proof=_control_plane_proof,
    causes=(expired_on("control-plane"),),
    soak=True,
)


def _mesh_steps(stage: Stage) -> tuple[Step, ...]:
    read = Pages("mesh", of="", by=UNMESHED, labels=f"{CONTROL_PLANE_NS}={stage.linkerd_namespace}")
    return (read, _clock(stage))


def _mesh_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return _leaves_proof("mesh", "the mesh", evidence)


MESH_LEAVES = Probe(
    id="mtls.leaves",
    claim="No proxy of the whole mesh has an expired certificate.",
    tier=Tier.FOUNDATION,
    steps=_mesh_steps,
    proof=_mesh_proof,
    causes=(expired_on("mesh"),),
    safety=Safety.INTRUSIVE,
    soak=True,
)


def _renewal_steps(stage: Stage) -> tuple[Step, ...]:
    return (*(Pages(name, actor, UNMESHED) for name, actor in _READ.items()), _clock(stage))


def _all_pages(evidence: Evidence) -> Mapping[str, Page]:
    return {pod: page for name in _READ for pod, page in evidence.pages(name).items()}


def _overdue(evidence: Evidence) -> list[str]:
    """Proxies that are later with their renewal than they may be, of those that tell when they had the last one."""
    now = clock_of(evidence)
    pages = _all_pages(evidence)
    told = []
    for pod, expiry in sorted(expiries(pages).items()):
        refreshed = pages[pod].total(_REFRESHED)
        life = expiry - refreshed
        if refreshed and life > 0 and now - refreshed > (RENEWED_AT + _LATE) * life:
            told.append(f"{pod}: {(now - refreshed) / life:.0%} of its life is over")
    return told


def _renewal_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    pages = _all_pages(evidence)
    silent = sorted(pages.keys() - expiries(pages).keys())
    now = clock_of(evidence)
    expired = [pod for pod, expiry in sorted(expiries(pages).items()) if expiry <= now]
    return (
        check("every proxy of the probes has a certificate", expected=NONE, observed=listed(silent)),
        check("none has expired", expected=NONE, observed=listed(expired), ok=bool(pages) and not expired),
        check(f"each is renewed at {RENEWED_AT:.0%} of its life", expected=NONE, observed=listed(_overdue(evidence))),
    )


def _identity_refuses(_stage: Stage, evidence: Evidence) -> str | None:
    """Of a proxy whose certificate has expired the calls fail for ever, and tell nothing of the controller."""
    told, now = [], clock_of(evidence)
    ends = expiries(_all_pages(evidence))
    for pod, page in sorted(_all_pages(evidence).items()):
        if ends.get(pod, now + 1) <= now:
            continue
        failed = sum(
            sample.value
            for sample in page.select("control_response_total", classification="failure")
            if sample.labels.get("addr", "").startswith("linkerd-identity")
        )
        if failed:
            told.append(f"{pod} {failed:g}")
    return f"failed calls to the identity controller: {', '.join(told)}" if told else None


def _frozen(_stage: Stage, evidence: Evidence) -> str | None:
    return "; ".join(_overdue(evidence)) or None


RENEWAL = Probe(
    id="mtls.renewal",
    claim="Certificates of proxies are renewed well before they end.",
    tier=Tier.FOUNDATION,
    steps=_renewal_steps,
    proof=_renewal_proof,
    soak=True,
    diagnosis=Scene().steps,
    causes=(
        expired_on("client", "other", "server"),
        Cause(
            code="IDENTITY_UNREACHABLE",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_identity_refuses),
            message="Proxies ask the identity controller in vain. Their counter of refresh errors does not show it.",
            expected="control_response_total of linkerd-identity counts no failures",
            disproof="The counter stands still over a renewal.",
            remedy="See that linkerd-identity is ready, its issuer valid, and the clocks of the nodes right.",
            command="linkerd diagnostics proxy-metrics po/<pod> | grep 'control_response_total.*identity'",
        ),
        Cause(
            code="RENEWAL_OVERDUE",
            rung=Rung.PROXY,
            seen=cautious(_frozen),
            message="A proxy did not renew its certificate when it should have.",
            expected=f"the last refresh is younger than {RENEWED_AT:.0%} of the certificate's life",
            disproof="control_identity_cert_refresh_timestamp_seconds moves within minutes.",
            remedy="See that linkerd-identity answers; a proxy that stays overdue must be restarted before it expires.",
            command="linkerd identity -n <namespace> <pod>",
        ),
        NO_IDENTITY,
        ANCHOR_DRIFT,
    ),
)


def _drift_steps(stage: Stage) -> tuple[Step, ...]:
    return (
        Looked("meshed", PODS, labels=f"{CONTROL_PLANE_NS}={stage.linkerd_namespace}"),
        Looked(ROOTS, CONFIG_MAPS, stage.linkerd_namespace, names=(TRUST_ROOTS,)),
    )


def _drifted(evidence: Evidence) -> list[str]:
    current = _bundle(evidence)
    return sorted(_full_name(pod) for pod in evidence.objects("meshed") if (anchors_of(pod) or current) != current)


def _bundle(evidence: Evidence) -> str:
    return next((text(roots, "data", BUNDLE).strip() for roots in evidence.objects(ROOTS)), "")


def _full_name(pod: JsonObject) -> str:
    return f"{text(pod, 'metadata', 'namespace')}/{pod_name(pod)}"


def _drift_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    judged = [pod for pod in evidence.objects("meshed") if proxy_of(pod) is not None]
    bundle = _bundle(evidence)
    return (
        check("there is a bundle of trust anchors", expected="some", observed=f"{len(bundle)} bytes", ok=bool(bundle)),
        check("meshed pods were read", expected="some", observed=f"{len(judged)} pods", ok=bool(judged)),
        check("each trusts that bundle", expected=NONE, observed=listed(_drifted(evidence))),
    )


def _drift_seen(_stage: Stage, evidence: Evidence) -> str | None:
    drifted = _drifted(evidence)
    return f"{len(drifted)} pods: {', '.join(drifted)}" if drifted else None


ANCHORS = Probe(
    id="mtls.anchor-drift",
    claim="Every meshed pod trusts the anchors that the control plane has now.",
    tier=Tier.FOUNDATION,
    steps=_drift_steps,
    proof=_drift_proof,
    safety=Safety.INTRUSIVE,
    causes=(
        Cause(
            code=ANCHOR_DRIFT.code,
            rung=ANCHOR_DRIFT.rung,
            seen=cautious(_drift_seen),
            message=ANCHOR_DRIFT.message,
            expected=ANCHOR_DRIFT.expected,
            disproof=ANCHOR_DRIFT.disproof,
            remedy=ANCHOR_DRIFT.remedy,
            command=ANCHOR_DRIFT.command,
        ),
    ),
)


def _issuer_steps(stage: Stage) -> tuple[Step, ...]:
    return (Looked("events", CORE_EVENTS, stage.linkerd_namespace),)


def _issuer_event(evidence: Evidence) -> JsonObject | None:
    """The latest event in which the identity controller speaks of its issuer."""
    about = [each for each in evidence.objects("events") if text(each, "reason").startswith("IssuerUpdate")]
    return max(about, key=_event_at, default=None)


def _event_at(event: JsonObject) -> float:
    stamps = (text(event, "series", "lastObservedTime"), text(event, "lastTimestamp"), text(event, "eventTime"))
    times = [at for at in map(moment, stamps) if at is not None]
    return max(times, default=0.0)


def _refused_issuer(evidence: Evidence) -> str:
    event = _issuer_event(evidence)
    skipped = event is not None and text(event, "reason") == "IssuerUpdateSkipped"
    return text(event or {}, "message") if skipped else ""


def _issuer_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    return (
        check(
            "the identity controller uses its issuer",
            expected="none refused",
            observed=_refused_issuer(evidence) or "none refused",
        ),
    )


def _issuer_seen(_stage: Stage, evidence: Evidence) -> str | None:
    return _refused_issuer(evidence) or None


ISSUER = Probe(
    id="mtls.issuer",
    claim="The identity controller signs with the issuer that it was given.",
    tier=Tier.FOUNDATION,
    steps=_issuer_steps,
    proof=_issuer_proof,
    causes=(
        Cause(
            code="ISSUER_REFUSED",
            rung=Rung.CONTROL_PLANE,
            seen=cautious(_issuer_seen),
            message="The identity controller refuses its new issuer and goes on with the old one until that ends.",
            expected="no event IssuerUpdateSkipped after the last IssuerUpdated",
            disproof="The newest event of the identity controller is IssuerUpdated.",
            remedy="Issue the issuer under an anchor in linkerd-identity-trust-roots, or add its anchor there first.",
            command="kubectl get events -n linkerd --field-selector reason=IssuerUpdateSkipped",
        ),
    ),
)


def _cipher_steps(_stage: Stage) -> tuple[Step, ...]:
    return (Pages("client", CLIENT, UNMESHED), Pages("server", "sm", UNMESHED))


def _cipher_proof(_stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    pages = {**evidence.pages("client"), **evidence.pages("server")}
    offered = {pod: next(page.select("rustls_info"), None) for pod, page in pages.items()}
    labels = {pod: sample.labels if sample is not None else {} for pod, sample in offered.items()}
    return (
        _offers(
            "every proxy offers AES-256", _SUITE, {pod: each.get("tls_suites", "") for pod, each in labels.items()}
        ),
        _offers(
            "every proxy exchanges keys in a way that quantum computers do not break",
            _KEY_EXCHANGE,
            {pod: each.get("tls_kx_groups", "") for pod, each in labels.items()},
        ),
    )


def _offers(name: str, wanted: str, offered: Mapping[str, str]) -> AssertionResult:
    observed = ", ".join(f"{pod} {said or 'nothing'}" for pod, said in sorted(offered.items()))
    return check(
        name, expected=wanted, observed=observed, ok=bool(offered) and all(wanted in each for each in offered.values())
    )


def _old_proxy(_stage: Stage, evidence: Evidence) -> str | None:
    versions = {
        pod: next(page.values("proxy_build_info", "version").__iter__(), "unknown")
        for name in ("client", "server")
        for pod, page in evidence.pages(name).items()
        if not any(_KEY_EXCHANGE in sample.labels.get("tls_kx_groups", "") for sample in page.select("rustls_info"))
    }
    return ", ".join(f"{pod} is proxy {version}" for pod, version in sorted(versions.items())) or None


CIPHER = Probe(
    id="mtls.cipher",
    claim="Proxies offer AES-256 and a key exchange with ML-KEM.",
    tier=Tier.TRAFFIC,
    since="2.19",
    steps=_cipher_steps,
    proof=_cipher_proof,
    diagnosis=Scene().steps,
    causes=(
        Cause(
            code="OLD_CIPHERS",
            rung=Rung.PROXY,
            seen=cautious(_old_proxy),
            message="The proxy was built without the ciphers of its release.",
            expected=f"rustls_info with {_SUITE} and {_KEY_EXCHANGE}",
            disproof="The proxy's page names both.",
            remedy="Restart the workload so that it gets the control plane's proxy; look at the image it has.",
            command="linkerd diagnostics proxy-metrics po/<pod> | grep rustls_info",
        ),
    ),
)

PROBES = (CONTROL_PLANE_LEAVES, MESH_LEAVES, RENEWAL, ANCHORS, ISSUER, CIPHER)
