"""Each gate, against what it may see."""

from dataclasses import replace
from datetime import timedelta

import pytest

from services.upgrader.core.gates import (
    certificates,
    injector,
    kubernetes_version,
    linkerd_check,
    ownership,
    version_skew,
)
from services.upgrader.core.gates.judging import is_compared, judge, weighed
from services.upgrader.core.gates.linkerd_check import EXPECTED
from services.upgrader.core.gates.verdict import Context, Finding, compared, failed
from services.upgrader.core.logical import LogicalVersions
from services.upgrader.core.observations import (
    Check,
    CheckDocument,
    CheckResult,
    CheckSeen,
    Injection,
    InjectionsSeen,
    KubernetesSeen,
    Unseen,
    VersionsSeen,
)
from steward.events.upgrades import GateResult
from steward.linkerd.certificates import CertificateFacts, CertificateInventory, WebhookCertificates, parse_bundle
from steward.linkerd.knowledge import shipped
from steward.linkerd.ownership import Evidence as Sign
from steward.linkerd.ownership import Mixture, Ownership
from steward.linkerd.version import Version
from steward.resources.release_catalog import Bounds, ReleaseEntry
from steward.resources.upgrade_plan import (
    Certificates,
    CheckScope,
    GateTemplate,
    GateType,
    InstallMethod,
    LinkerdCheck,
    StepType,
    VersionSkew,
)
from steward.testing.linkerd.certificates import Authority, Validity
from tests.services.upgrader.paper import DAWN, healthy_check

CONTEXT = Context(
    now=DAWN,
    source=Version.parse("edge-25.10.7"),
    target=Version.parse("edge-26.6.3"),
    method=InstallMethod.HELM,
    release=ReleaseEntry(version="edge-26.6.3", kubernetes=Bounds(min="1.31")),
    logical=LogicalVersions.of((), shipped()),
)


def check(category: str, result: CheckResult, description: str = "is well") -> Check:
    return Check(category, description, result, "it is not" if result is not CheckResult.SUCCESS else "")


def seen(*checks: Check, categories: tuple[str, ...] | None = None, success: bool = True) -> CheckSeen:
    """One call of `linkerd check` for the control plane."""
    document = CheckDocument(success, EXPECTED[CheckScope.CONTROL_PLANE] if categories is None else categories, checks)
    return CheckSeen(CheckScope.CONTROL_PLANE, "edge-26.6.3", (document,))


class TestLinkerdCheck:
    def test_passes_when_every_document_is_well(self) -> None:
        found = linkerd_check.judge((healthy_check(CheckScope.PROXY),), LinkerdCheck())
        assert found.result is GateResult.PASSED

    def test_fails_by_an_error_in_the_document_of_an_extension(self) -> None:
        viz = CheckDocument(
            success=False, categories=("linkerd-viz",), checks=(check("linkerd-viz", CheckResult.ERROR),)
        )
        both = replace(seen(), documents=(*seen().documents, viz))
        found = linkerd_check.judge((both,), LinkerdCheck())
        assert found.result is GateResult.FAILED
        assert [each.name for each in found.findings] == ["linkerd-viz/is well"]

    def test_does_not_listen_to_our_own_extension(self) -> None:
        own = CheckDocument(
            success=False, categories=("linkerd-steward",), checks=(check("linkerd-steward", CheckResult.ERROR),)
        )
        both = replace(seen(), documents=(*seen().documents, own))
        assert linkerd_check.judge((both,), LinkerdCheck()).result is GateResult.PASSED

    def test_warnings_count_only_where_the_gate_says_so(self) -> None:
        stale = seen(check("control-plane-version", CheckResult.WARNING))
        assert linkerd_check.judge((stale,), LinkerdCheck()).result is GateResult.PASSED
        strict = LinkerdCheck(fail_on_warnings=("control-plane-version",))
        assert linkerd_check.judge((stale,), strict).result is GateResult.FAILED

    def test_a_category_that_did_not_come_is_no_success(self) -> None:
        cut_short = seen(categories=("kubernetes-api", "linkerd-existence"))
        found = linkerd_check.judge((cut_short,), LinkerdCheck())
        assert found.result is GateResult.INCONCLUSIVE
        assert "linkerd-identity" in found.message

    def test_a_fatal_error_fails_whatever_else_is_missing(self) -> None:
        fatal = seen(
            check("linkerd-existence", CheckResult.ERROR),
            categories=("kubernetes-api", "linkerd-existence"),
            success=False,
        )
        assert linkerd_check.judge((fatal,), LinkerdCheck()).result is GateResult.FAILED

    def test_a_document_that_failed_without_saying_why_fails(self) -> None:
        assert linkerd_check.judge((seen(success=False),), LinkerdCheck()).result is GateResult.FAILED


def test_what_was_red_before_is_not_held_against_the_upgrade() -> None:
    gate = GateTemplate(name="check", type=GateType.LINKERD_CHECK)
    red = failed("CheckFailed", (Finding("linkerd-identity/expired root", "a left-over root has expired"),))
    baseline = red.evidence(gate, DAWN)
    assert compared(red, baseline).result is GateResult.PASSED
    assert compared(red, baseline).reason == "NoWorseThanBefore"


def test_something_newly_red_is_held_against_it_and_alone_named() -> None:
    gate = GateTemplate(name="check", type=GateType.LINKERD_CHECK)
    old = Finding("old", "an old trouble")
    baseline = failed("CheckFailed", (old,)).evidence(gate, DAWN)
    found = compared(failed("CheckFailed", (old, Finding("new", "a new trouble"))), baseline)
    assert found.result is GateResult.FAILED
    assert found.message == "a new trouble"


@pytest.mark.parametrize(
    ("gate", "step", "is_so"),
    [
        (GateType.LINKERD_CHECK, StepType.PREFLIGHT, True),
        (GateType.CERTIFICATES, StepType.PREFLIGHT, False),
        (GateType.CERTIFICATES, StepType.UPGRADE_CONTROL_PLANE, True),
        (GateType.INJECTOR_DRY_RUN, StepType.UPGRADE_CONTROL_PLANE, True),
        (GateType.INJECTOR_DRY_RUN, StepType.RESTART_WORKLOADS, False),
        (GateType.VERSION_SKEW, StepType.GATE, False),
        (GateType.KUBERNETES_VERSION, StepType.GATE, False),
        (GateType.OWNERSHIP_CONFLICT, StepType.PREFLIGHT, False),
    ],
)
def test_only_health_is_compared_with_before(gate: GateType, step: StepType, is_so: bool) -> None:
    assert is_compared(gate, step) is is_so


def test_a_broken_injector_is_no_excuse_before_restarts() -> None:
    gate = GateTemplate(name="injector", type=GateType.INJECTOR_DRY_RUN)
    verdict = failed("InjectionWrong", (Finding("shop/proxy", "no proxy"),))
    baseline = verdict.evidence(gate, DAWN)
    assert weighed(verdict, gate, StepType.RESTART_WORKLOADS, baseline).result is GateResult.FAILED


@pytest.mark.parametrize(
    ("observation", "result"),
    [
        (Unseen("NoCli", "there is none"), GateResult.INCONCLUSIVE),
        (Unseen("TimedOut", "late", transient=True), GateResult.ERROR),
    ],
)
def test_what_could_not_be_seen_is_neither_a_pass_nor_a_failure(observation: Unseen, result: GateResult) -> None:
    gate = GateTemplate(name="check", type=GateType.LINKERD_CHECK)
    assert judge(gate, observation, CONTEXT).result is result


@pytest.mark.parametrize(
    ("proxies", "unknown", "result", "reason"),
    [
        pytest.param({"edge-25.10.7": 3, "edge-26.6.3": 1}, 0, GateResult.PASSED, "WithinSkew", id="one behind"),
        pytest.param({"edge-25.4.4": 2}, 0, GateResult.FAILED, "TooFarBehind", id="two behind"),
        pytest.param({"edge-26.8.3": 2}, 0, GateResult.FAILED, "ProxyAhead", id="ahead"),
        pytest.param({"edge-25.10.7": 3}, 1, GateResult.INCONCLUSIVE, "VersionUnknown", id="one that names no version"),
        pytest.param({"edge-22.1.1": 1}, 0, GateResult.INCONCLUSIVE, "VersionUnknown", id="before all that is known"),
        pytest.param({"stable-2.14.10": 1}, 0, GateResult.INCONCLUSIVE, "VersionUnknown", id="another channel"),
        pytest.param({}, 0, GateResult.PASSED, "WithinSkew", id="no proxies at all"),
    ],
)
def test_skew_is_judged_in_logical_versions(
    proxies: dict[str, int], unknown: int, result: GateResult, reason: str
) -> None:
    versions = tuple((Version.parse(name), pods) for name, pods in proxies.items())
    found = version_skew.judge(VersionsSeen((), None, versions, unknown), VersionSkew(), CONTEXT)
    assert (found.result, found.reason) == (result, reason)


@pytest.mark.parametrize(
    ("server", "chart", "result", "reason"),
    [
        ("v1.36.3", ">=1.31.0-0", GateResult.PASSED, "KubernetesSuitable"),
        ("v1.30.9", ">=1.31.0-0", GateResult.FAILED, "KubernetesUnsuitable"),
        ("v1.30.9", "", GateResult.FAILED, "KubernetesUnsuitable"),
        ("v1.31.0-gke.1", "", GateResult.PASSED, "KubernetesSuitable"),
        ("v1.36.3", ">=1.22.0-0 <1.36.0", GateResult.FAILED, "KubernetesUnsuitable"),
        ("v1.36.3", "^1.31", GateResult.PASSED, "KubernetesSuitable"),
        ("v1.36.3", "~1.35.0", GateResult.FAILED, "KubernetesUnsuitable"),
        ("v1.36.3", "<1.31 || >=1.36", GateResult.PASSED, "KubernetesSuitable"),
        ("v1.36.3", "whatever comes", GateResult.INCONCLUSIVE, "ChartRangeUnreadable"),
        ("unknown", ">=1.31.0-0", GateResult.INCONCLUSIVE, "ServerVersionUnknown"),
    ],
)
def test_the_charts_bound_and_the_catalogs_both_count(server: str, chart: str, result: GateResult, reason: str) -> None:
    found = kubernetes_version.judge(KubernetesSeen(server, chart), CONTEXT)
    assert (found.result, found.reason) == (result, reason)


def test_a_newest_supported_kubernetes_includes_its_patches() -> None:
    bounded = replace(CONTEXT, release=ReleaseEntry(version="edge-26.6.3", kubernetes=Bounds(max="1.35")))
    assert kubernetes_version.judge(KubernetesSeen("v1.35.9"), bounded).result is GateResult.PASSED
    assert kubernetes_version.judge(KubernetesSeen("v1.36.0"), bounded).result is GateResult.FAILED


def test_nothing_that_bounds_kubernetes_is_not_a_pass() -> None:
    found = kubernetes_version.judge(KubernetesSeen("v1.36.3"), replace(CONTEXT, release=None))
    assert found.result is GateResult.INCONCLUSIVE


WELL = Injection("shop", admitted=True, proxy=True, version="edge-26.6.3", trust="aa")


@pytest.mark.parametrize(
    ("probe", "result", "finding"),
    [
        pytest.param(WELL, GateResult.PASSED, "", id="the right proxy"),
        pytest.param(replace(WELL, proxy=False), GateResult.FAILED, "shop/proxy", id="no proxy"),
        pytest.param(replace(WELL, admitted=False), GateResult.FAILED, "shop/refused", id="refused"),
        pytest.param(replace(WELL, version="edge-25.10.7"), GateResult.FAILED, "shop/version", id="an older proxy"),
        pytest.param(replace(WELL, trust="bb"), GateResult.FAILED, "shop/trust", id="another trust bundle"),
        pytest.param(replace(WELL, version=""), GateResult.INCONCLUSIVE, "", id="a digest instead of a version"),
    ],
)
def test_a_pod_made_now_must_get_its_proxy(probe: Injection, result: GateResult, finding: str) -> None:
    found = injector.judge(InjectionsSeen((probe,), "edge-26.6.3", "aa"))
    assert found.result is result
    assert [each.name for each in found.findings] == ([finding] if finding else [])


@pytest.mark.parametrize(
    ("owner", "result", "reason"),
    [
        pytest.param(Ownership(InstallMethod.HELM, Mixture.NONE, ()), GateResult.PASSED, "OneOwner", id="as planned"),
        pytest.param(Ownership(InstallMethod.CLI, Mixture.NONE, ()), GateResult.FAILED, "OwnerChanged", id="another"),
        pytest.param(
            Ownership(
                None,
                Mixture.MIXED,
                (Sign(InstallMethod.HELM, "Deployment a", "x"), Sign(InstallMethod.CLI, "Secret b", "y")),
            ),
            GateResult.FAILED,
            "MixedOwnership",
            id="two at once",
        ),
        pytest.param(Ownership(None, Mixture.UNKNOWN, ()), GateResult.INCONCLUSIVE, "OwnerUnknown", id="nobody"),
    ],
)
def test_an_installation_has_one_owner(owner: Ownership, result: GateResult, reason: str) -> None:
    found = ownership.judge(owner, CONTEXT)
    assert (found.result, found.reason) == (result, reason)


def test_mixed_ownership_shows_its_evidence() -> None:
    signs = (Sign(InstallMethod.HELM, "Deployment a", "label x"), Sign(InstallMethod.CLI, "Secret b", "exists"))
    found = ownership.judge(Ownership(None, Mixture.MIXED, signs), CONTEXT)
    assert "Deployment a: label x (Helm)" in found.message
    assert "Secret b: exists (CLI)" in found.message


LIFE = timedelta(days=365)
WEEK = Certificates()


def facts(pem: str) -> CertificateFacts:
    return parse_bundle(pem)[0]


def inventory(
    anchor: Validity | None = None, issuer: Validity | None = None, *, webhooks: tuple[WebhookCertificates, ...] = ()
) -> CertificateInventory:
    """An anchor, and an issuer that it signed."""
    root = Authority.self_signed("root.linkerd.cluster.local", anchor or Validity.around(DAWN, 10 * LIFE))
    signed = root.issue_authority("identity.linkerd.cluster.local", issuer or Validity.around(DAWN, LIFE))
    return CertificateInventory((facts(root.pair.certificate),), (facts(signed.pair.certificate),), webhooks)


def webhook(*, agree: bool = True, validity: Validity | None = None) -> WebhookCertificates:
    """A webhook and what its server shows."""
    name = "linkerd-proxy-injector.linkerd.svc"
    signer = Authority.self_signed(name, Validity.around(DAWN, LIFE))
    leaf = facts(signer.issue_leaf(name, validity or Validity.around(DAWN, LIFE)).certificate)
    other = Authority.self_signed(name, Validity.around(DAWN, LIFE))
    bundle = facts((signer if agree else other).pair.certificate)
    return WebhookCertificates("injector", "injector-config", name, (bundle,), (leaf,), "secret")


def judge_certificates(seen: CertificateInventory, settings: Certificates = WEEK) -> tuple[GateResult, list[str]]:
    found = certificates.judge(seen, settings, DAWN)
    return found.result, [each.name for each in found.findings]


def test_certificates_that_agree_and_last_pass() -> None:
    assert judge_certificates(inventory(webhooks=(webhook(),))) == (GateResult.PASSED, [])


def test_an_expired_issuer_fails() -> None:
    ended = Validity.around(DAWN - timedelta(days=800), LIFE)
    assert judge_certificates(inventory(issuer=ended)) == (GateResult.FAILED, ["issuer/validity"])


def test_an_issuer_that_ends_within_the_week_fails_a_gate_that_asks_for_one() -> None:
    soon = Validity(DAWN - timedelta(days=1), DAWN + timedelta(days=3))
    assert judge_certificates(inventory(issuer=soon)) == (GateResult.FAILED, ["issuer/remaining"])
    assert judge_certificates(inventory(issuer=soon), Certificates(min_remaining_seconds=86400))[0] is GateResult.PASSED


def test_an_expired_anchor_that_is_the_only_one_fails() -> None:
    ended = Validity.around(DAWN - timedelta(days=800), LIFE)
    assert judge_certificates(inventory(anchor=ended)) == (GateResult.FAILED, ["anchor/validity"])


def test_an_expired_left_over_anchor_beside_a_valid_one_harms_nobody() -> None:
    good = inventory()
    ended = inventory(anchor=Validity.around(DAWN - timedelta(days=800), LIFE))
    found = certificates.judge(replace(good, anchors=(*ended.anchors, *good.anchors)), WEEK, DAWN)
    assert found.result is GateResult.PASSED
    assert "1 left-over anchors have expired" in found.message


def test_an_issuer_that_no_valid_anchor_verifies_fails() -> None:
    stranger = inventory()
    assert judge_certificates(replace(inventory(), issuer=stranger.issuer)) == (GateResult.FAILED, ["issuer/trust"])


def test_a_webhook_whose_bundle_verifies_another_certificate_fails() -> None:
    seen = inventory(webhooks=(webhook(agree=False),))
    assert judge_certificates(seen) == (GateResult.FAILED, ["webhook/injector/agreement"])
    lax = Certificates.model_validate({"requireWebhookCAAgreement": False})
    assert judge_certificates(seen, lax)[0] is GateResult.PASSED


def test_an_expired_webhook_certificate_fails() -> None:
    ended = Validity.around(DAWN - timedelta(days=800), LIFE)
    assert judge_certificates(inventory(webhooks=(webhook(validity=ended),)))[1] == ["webhook/injector/validity"]


def test_certificates_that_cannot_be_read_are_not_well() -> None:
    unread = replace(inventory(), problems=("Secret linkerd/linkerd-identity-issuer does not exist",))
    assert judge_certificates(unread)[0] is GateResult.INCONCLUSIVE
    assert judge_certificates(CertificateInventory((), (), ()))[0] is GateResult.INCONCLUSIVE
