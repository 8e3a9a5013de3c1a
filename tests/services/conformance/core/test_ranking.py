"""Dependencies, findings, capabilities, schedules: what comes before what, and what belongs together."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from services.conformance.core.capability import ClusterSeen, capability, has
from services.conformance.core.dependencies import broken_ground, circle, grounds_of, in_layers
from services.conformance.core.grouping import findings
from services.conformance.core.judge import Which, disbelieved, skipped, undecided
from services.conformance.core.orders import Echo, Reply
from services.conformance.core.pages import page_of
from services.conformance.core.patterns import means
from services.conformance.core.probes import PROBES, chosen
from services.conformance.core.proofs import Maker
from services.conformance.core.schedule import Allowance, Timetable
from services.conformance.core.stage import Need
from services.conformance.core.suites import only
from services.conformance.core.who_answered import Counters, who_answered
from steward.conformance.results import Actors, Capability, FeatureResult, Safety, Tier, Verdict
from steward.events.conformance import FoundCause, Rung
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.resources.conformance_suite import ConformanceSuiteSpec
from tests.services.conformance.engine.pieces import probe

DAWN = datetime(2026, 6, 18, tzinfo=UTC)


def result(feature: str, verdict: Verdict, node: str = "", *codes: str) -> FeatureResult:
    made = undecided(probe(feature), Which("mine", "u", 0, DAWN), "Because", "because")
    causes = tuple(FoundCause(code=each, rung=Rung.PROXY, message=each, observed="", expected="") for each in codes)
    return made.model_copy(update={"verdict": verdict, "actors": Actors(server_nodes=(node,)), "causes": causes})


def test_no_feature_stands_on_itself_and_every_layer_stands_on_those_before() -> None:
    assert circle(PROBES) == ()
    done: set[str] = set()
    known = {each.id for each in PROBES}
    for layer in in_layers(PROBES):
        for each in layer:
            assert set(grounds_of(each)) & known <= done, each.id
        done |= {each.id for each in layer}
    assert done == known


def test_what_is_skipped_names_the_feature_that_failed_and_not_one_that_was_skipped() -> None:
    verdicts = {"proto.http1": Verdict.SKIPPED, "mtls.identity": Verdict.FAILED}
    assert broken_ground(probe("retry.http"), verdicts) == "mtls.identity"
    assert broken_ground(probe("retry.http"), {"proto.http1": Verdict.INCONCLUSIVE}) == ""
    assert broken_ground(probe("mtls.renewal"), {"mtls.identity": Verdict.FAILED}) == ""
    assert broken_ground(probe("lb.ewma", depends_on=("lb.spread",)), {"lb.spread": Verdict.FAILED}) == "lb.spread"


def test_circles_are_cut_and_nothing_is_lost() -> None:
    one, other = probe("lb.a", depends_on=("lb.b",)), probe("lb.b", depends_on=("lb.a",))
    assert circle((one, other)) == ("lb.a", "lb.b")
    assert {each.id for layer in in_layers((one, other)) for each in layer} == {"lb.a", "lb.b"}


def test_failures_of_one_node_are_one_finding() -> None:
    bad = [result(f"lb.n{number}", Verdict.FAILED, "node-1", "CNI_RULES") for number in range(4)]
    good = [result(f"route.n{number}", Verdict.PASSED, "node-2") for number in range(4)]
    (finding,) = findings([*bad, *good])
    assert "node-1" in finding.message
    assert finding.cause is not None
    assert finding.cause.code == "CNI_RULES"
    assert len(finding.features) == 4


def test_what_everything_has_in_common_explains_nothing() -> None:
    everywhere = [result(f"lb.n{number}", Verdict.FAILED, "node-1", f"C{number}") for number in range(4)]
    assert len(findings(everywhere)) == 4
    mixed = [*everywhere, *(result(f"route.n{number}", Verdict.PASSED, "node-1") for number in range(4))]
    assert all("node-1" not in each.message for each in findings(mixed))


def test_features_with_one_cause_are_one_finding_with_what_rests_on_them() -> None:
    resting = skipped(probe("retry.http"), Which("mine", "u", 0, DAWN), "lb.a")
    found = findings([result("lb.a", Verdict.FAILED, "", "X"), result("lb.b", Verdict.FAILED, "", "X"), resting])
    assert [each.features for each in found] == [("lb.a", "lb.b", "retry.http")]


@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from(list(Verdict)), st.sampled_from(["", "n1", "n2"]))))
def test_every_failed_feature_is_in_exactly_one_finding(given_: list[tuple[int, Verdict, str]]) -> None:
    results = [result(f"lb.n{number}", verdict, node) for number, verdict, node in given_]
    latest = {each.feature: each for each in results}
    failed = sorted(each.feature for each in latest.values() if each.verdict is Verdict.FAILED)
    named = sorted(each for finding in findings(latest.values()) for each in finding.features)
    assert named == failed


def test_versions_and_definitions_decide_what_a_mesh_has() -> None:
    old = ClusterSeen(linkerd=Version.parse("edge-24.11.8"), nodes=1)
    new = ClusterSeen(linkerd=Version.parse("edge-26.8.3"), nodes=2, crds=frozenset({"servers.policy.linkerd.io"}))
    since = probe("ratelimit.total", since="2.19")
    assert capability(since, old, shipped()).capability is Capability.UNSUPPORTED
    assert capability(since, new, shipped()).capability is Capability.SUPPORTED
    policy = probe("authz.server", needs=(Need.SERVER_POLICY,))
    assert capability(policy, old, shipped()).reason == "NoServerPolicy"
    assert capability(policy, new, shipped()).capability is Capability.SUPPORTED
    assert Need.TWO_NODES in has(new, shipped())
    assert capability(probe("topo.x", needs=(Need.TWO_NODES,)), old, shipped()).capability is Capability.NOT_APPLICABLE


@given(st.integers(0, 100_000), st.sampled_from([Tier.FOUNDATION, Tier.TRAFFIC, Tier.DEPTH]))
def test_cycles_follow_one_another_whenever_one_looks(seconds: int, tier: Tier) -> None:
    suite = ConformanceSuiteSpec()
    timetable = Timetable.of(DAWN, suite.schedule, suite.jitter_percent)
    now = DAWN + timedelta(seconds=seconds)
    current, following = timetable.current(tier, now), timetable.following(tier, now)
    assert following.number == current.number + 1
    assert following.due > now
    assert current.due <= now
    assert timetable.current(tier, following.due).number == following.number


@given(st.lists(st.integers(1, 400), min_size=1, max_size=60))
def test_the_allowance_is_kept_over_time(costs: list[int]) -> None:
    allowance, now = Allowance(15), 0.0
    for cost in costs:
        now += allowance.wait(cost, now).total_seconds()
    assert sum(costs) <= 15 * (now + 60) + 1


def test_patterns_mean_features_and_groups() -> None:
    assert means("mtls", "mtls.identity")
    assert means("mtls.*", "mtls.identity")
    assert means("proto.grpc", "proto.grpc.unary")
    assert not means("mtl", "mtls.identity")
    assert not means("mtls.identity", "mtls.identity-more")


def test_a_feature_named_outright_comes_along_whatever_its_tier_and_never_bolder_than_allowed() -> None:
    bold = probe("chg.outage", tier=Tier.DISRUPTIVE, safety=Safety.DISRUPTIVE)
    known = (probe("lb.a"), probe("lb.b", tier=Tier.ENVIRONMENT), bold)
    foundation, safe = (Tier.FOUNDATION,), (Safety.SAFE,)
    assert [each.id for each in chosen((), (), foundation, safe, of=known)] == ["lb.a"]
    assert [each.id for each in chosen(("lb.b",), (), foundation, safe, of=known)] == ["lb.b"]
    assert chosen(("chg.outage",), (), tuple(Tier), safe, of=known) == ()
    assert [each.id for each in only(known[:1], ("lb.b", "chg.outage"), known, safe)] == ["lb.b"]


def test_a_control_that_does_not_hold_makes_nonsense_of_its_group() -> None:
    passed, failed = result("lb.a", Verdict.PASSED), result("lb.b", Verdict.FAILED, "", "X")
    rested = skipped(probe("lb.c"), Which("mine", "u", 0, DAWN), "lb.b")
    told = disbelieved([passed, failed, rested], "everything answers")
    assert [each.verdict for each in told] == [Verdict.INCONCLUSIVE, Verdict.INCONCLUSIVE, Verdict.SKIPPED]
    assert told[1].causes == ()


def test_who_answered_is_told_by_all_signs_together() -> None:
    page = page_of("# TYPE inbound_http_authz_deny_total counter\ninbound_http_authz_deny_total 0\n")
    after = page_of("# TYPE inbound_http_authz_deny_total counter\ninbound_http_authz_deny_total 5\n")
    refused = Reply(at=DAWN, status=403, received_bytes=0)
    assert who_answered(refused).who is Maker.SERVER_PROXY
    assert who_answered(refused, Counters(server=({"a": page}, {"a": after}))).sure
    doubtful = who_answered(refused, Counters(server=({"a": page}, {"a": page})))
    assert doubtful.who is Maker.APPLICATION
    assert not doubtful.sure
    by_client = Reply(at=DAWN, status=504, headers=(("l5d-proxy-error", "failfast"),))
    assert who_answered(by_client).who is Maker.CLIENT_PROXY
    assert who_answered(Reply(at=DAWN, status=503, echo=Echo(pod="v1-0"))).who is Maker.APPLICATION
