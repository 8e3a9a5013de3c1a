"""A run with every kind of verdict, as reports are tried with."""

from datetime import UTC, datetime, timedelta

from steward.conformance.reports.document import FeatureReport, RunReport, Subject, counted
from steward.conformance.results import (
    Actors,
    AssertionResult,
    FeatureResult,
    Tier,
    Timing,
    Verdict,
)
from steward.events.conformance import ConformanceOutcome, Finding, FoundCause, Rung

BEGAN = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)
HOSTILE = '<script>alert("x")</script> `rm` | [a](b) \x07 & =SUM(A1)'
DENIED = FoundCause(
    code="POLICY_DENY",
    rung=Rung.PROXY,
    message="The proxy of the server refuses the client.",
    observed="inbound_http_authz_deny_total grew by 20 on sp-7d4c9",
    expected="no denial for probe-client",
    disproof="the counter stands still while requests fail",
    remedy="add an AuthorizationPolicy that names the client, or relax the default policy",
    command="kubectl -n steward-probes-x get servers,authorizationpolicies -o wide",
)


def result(feature: str, verdict: Verdict, *, cycle: int = 0, node: str = "node-0", **more: object) -> FeatureResult:
    """One result, `cycle` minutes after the beginning."""
    members: dict[str, object] = {
        "id": f"uid/{feature}/{cycle}/{node}",
        "run": "nightly",
        "run_uid": "uid",
        "feature": feature,
        "tier": Tier.FOUNDATION,
        "cycle": cycle,
        "at": BEGAN + timedelta(minutes=cycle),
        "verdict": verdict,
        "reason": "AsClaimed" if verdict is Verdict.PASSED else "NotAsClaimed",
        "message": "as claimed" if verdict is Verdict.PASSED else f"{feature} is {verdict.value}",
        "timing": Timing(total_seconds=0.25),
        "actors": Actors(client_pod="cm-1", client_node=node, server_pods=("v1-a", "v2-b")),
        **more,
    }
    return FeatureResult.model_validate(members)


def feature(name: str, *results: FeatureResult, security: bool = False) -> FeatureReport:
    """One feature of the report."""
    return FeatureReport(
        feature=name, claim=f"{name} does what it says.", tier=Tier.FOUNDATION, security=security, results=results
    )


def run() -> RunReport:
    """A run in which every verdict occurs, with text that tries to be markup."""
    features = (
        feature("cp.ready", *(result("cp.ready", Verdict.PASSED, cycle=each) for each in range(40))),
        feature(
            "mtls.identity",
            result("mtls.identity", Verdict.PASSED),
            result("mtls.identity", Verdict.FLAKY, cycle=1, node="node-1"),
        ),
        feature(
            "authz.meshtls",
            result("authz.meshtls", Verdict.PASSED),
            result(
                "authz.meshtls",
                Verdict.FAILED,
                cycle=1,
                node="node-2",
                message=f"an allowed client is refused {HOSTILE}",
                rung=Rung.PROXY,
                causes=(DENIED,),
                assertions=(
                    AssertionResult(name="allowed account", expected="200", observed=f"403 {HOSTILE}", ok=False),
                    AssertionResult(name="other account", expected="403", observed="403", ok=True),
                ),
                evidence="nightly/authz.meshtls/1.json",
            ),
            security=True,
        ),
        feature("retry.http", result("retry.http", Verdict.SKIPPED, because="authz.meshtls")),
        feature("egress.deny", result("egress.deny", Verdict.INCONCLUSIVE, message="no agent answered")),
        feature("ip.v6", result("ip.v6", Verdict.NOT_APPLICABLE, message="the cluster has no IPv6")),
        feature("cb.unified", result("cb.unified", Verdict.UNSUPPORTED, message="needs Linkerd 2.20")),
    )
    return RunReport(
        run="nightly",
        run_uid="uid",
        suite="default",
        trigger="Schedule",
        exerciser_version="0.1.0",
        subject=Subject(
            cluster="prod-eu", kubernetes_version="v1.36.3", linkerd_version="edge-26.8.3", nodes=3, zones=2
        ),
        started_at=BEGAN,
        ended_at=BEGAN + timedelta(minutes=5),
        outcome=ConformanceOutcome.FAILED,
        message="1 of 7 features does not work: authz.meshtls",
        summary=counted(each.worst.verdict for each in features),
        findings=(Finding(message="all failures are on node-2", features=("authz.meshtls",), cause=DENIED),),
        features=features,
    )
