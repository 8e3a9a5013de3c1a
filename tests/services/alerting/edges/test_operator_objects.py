"""Objects of the prometheus-operator: made, kept current and taken away, and nothing of anybody else's is touched."""

import asyncio
from collections.abc import Awaitable
from contextlib import suppress

import pytest
import pytest_asyncio

from services.alerting.core.channel_units import as_objects as channels_as_objects
from services.alerting.core.channel_units import own_content
from services.alerting.core.operator_documents import Belonging, rule_objects
from services.alerting.edges.operator_kinds import ALERTMANAGER_CONFIGS, PROMETHEUS_RULES
from services.alerting.edges.operator_objects import OperatorObjects
from services.alerting.engine.adopting import Adopting
from steward.alerting.rules import Group, Recording
from steward.jsonvalue import JsonObject, dig, rows, text
from steward.kube.client import Kube
from steward.kube.errors import KubeError, ServerUnavailable
from steward.kube.resources import ALERT_POLICIES, CRDS, NAMESPACES, Resource
from steward.resources.alert_policy import AlertPolicy
from steward.resources.definitions import definition
from steward.testing.kubernetes.admission import AdmissionRequest, Denied
from steward.testing.kubernetes.deletion import Undertaker
from steward.testing.kubernetes.faults import BROKEN, THROTTLED, Refuse, WriteMoment
from steward.testing.kubernetes.server import FakeKubernetes
from tests.common.alerting.channels.specimens import HOME, OBJECTS, channel, target

LABELS = {"release": "kube-prometheus"}
SUMS = Group("shop/sums", (Recording("shop:requests:sum", "sum(requests)"),))
OTHER = Group("shop/other", (Recording("shop:other:sum", "sum(other)"),))
NAMES = ("shop.mine.yaml", "shop.yours.yaml")


@pytest_asyncio.fixture
async def cluster(fake_kubernetes: FakeKubernetes, operator_definitions: tuple[JsonObject, ...]) -> FakeKubernetes:
    """The operator's kinds, and two namespaces."""
    for each in (*operator_definitions, definition(AlertPolicy)):
        fake_kubernetes.cluster.create(CRDS, each)
    for name in ("shop", HOME):
        fake_kubernetes.cluster.create(NAMESPACES, {"metadata": {"name": name}})
    return fake_kubernetes


def rules(name: str, *groups: Group, owner: AlertPolicy | None = None, labels: dict[str, str] | None = None) -> str:
    """The content of a unit of namespace shop."""
    return rule_objects("shop", name, groups, Belonging(f"shop.{name}.yaml", labels or LABELS, owner))


def carrier(kube: Kube, resource: Resource = PROMETHEUS_RULES) -> OperatorObjects:
    return OperatorObjects(kube, resource)


def found(cluster: FakeKubernetes, name: str) -> JsonObject:
    return cluster.cluster.get(PROMETHEUS_RULES, name, "shop")


async def put(kube: Kube, name: str, manager: str, metadata: JsonObject | None = None) -> JsonObject:
    """A PrometheusRule of somebody else's."""
    body: JsonObject = {
        "metadata": {"name": name, "namespace": "shop", **(metadata or {})},
        "spec": {"groups": [{"name": "theirs", "rules": [{"record": "theirs", "expr": "vector(1)"}]}]},
    }
    return await kube.apply(PROMETHEUS_RULES, body, manager=manager)


async def test_what_was_shown_is_read_back_word_for_word_and_written_once(cluster: FakeKubernetes, kube: Kube) -> None:
    wanted = {NAMES[0]: rules("mine", SUMS, OTHER)}
    assert await carrier(kube).show(wanted) is None
    assert await carrier(kube).good() == wanted
    written = len(cluster.audit)
    assert await carrier(kube).show(wanted) is None
    assert len(cluster.audit) == written
    made = found(cluster, "linkerd-steward-mine")
    assert dig(made, "metadata", "labels", "release") == "kube-prometheus"
    assert [text(each, "name") for each in rows(made, "spec", "groups")][1:] == ["shop/other", "shop/sums"]


@pytest.mark.usefixtures("cluster")
async def test_every_kind_of_channel_and_stewards_own_are_taken_and_read_back(kube: Kube) -> None:
    write = channels_as_objects(LABELS)
    units = [write(channel("shop", kind, **OBJECTS[kind]), target()) for kind in OBJECTS]
    own = own_content(target(), LABELS)
    assert own is not None
    wanted = {f"{HOME}._own": own, **{each.name: each.content for each in units if each.content is not None}}
    assert len(wanted) == len(OBJECTS), "a Slack bot is what the objects have no field for"
    assert await carrier(kube, ALERTMANAGER_CONFIGS).show(wanted) is None
    assert await carrier(kube, ALERTMANAGER_CONFIGS).good() == wanted


async def test_another_label_and_another_owner_are_changes_and_what_others_added_is_none(
    cluster: FakeKubernetes, kube: Kube
) -> None:
    policy = AlertPolicy.of(
        cluster.cluster.create(
            ALERT_POLICIES, {"metadata": {"name": "mine", "namespace": "shop"}, "spec": {"rules": []}}
        )
    )
    await carrier(kube).show({NAMES[0]: rules("mine", SUMS, owner=policy)})
    await kube.merge(
        PROMETHEUS_RULES, "linkerd-steward-mine", {"metadata": {"labels": {"added": "by-somebody"}}}, "shop"
    )
    again = rules("mine", SUMS, owner=policy)
    assert await carrier(kube).good() == {NAMES[0]: again}
    await carrier(kube).show({NAMES[0]: rules("mine", SUMS, owner=policy, labels={"team": "mesh"})})
    labels = dig(found(cluster, "linkerd-steward-mine"), "metadata", "labels")
    assert labels == {"added": "by-somebody", "team": "mesh", "app.kubernetes.io/managed-by": "linkerd-steward"}
    renewed = replace_uid(policy)
    await carrier(kube).show({NAMES[0]: rules("mine", SUMS, owner=renewed)})
    owners = rows(found(cluster, "linkerd-steward-mine"), "metadata", "ownerReferences")
    assert [text(each, "uid") for each in owners] == ["made-anew"]


def replace_uid(policy: AlertPolicy) -> AlertPolicy:
    """The same policy, deleted and made anew."""
    return policy.model_copy(update={"metadata": policy.metadata.model_copy(update={"uid": "made-anew"})})


async def test_with_its_policy_an_object_goes(cluster: FakeKubernetes, kube: Kube) -> None:
    made = cluster.cluster.create(
        ALERT_POLICIES, {"metadata": {"name": "mine", "namespace": "shop"}, "spec": {"rules": []}}
    )
    await carrier(kube).show({NAMES[0]: rules("mine", SUMS, owner=AlertPolicy.of(made))})
    (owner,) = rows(found(cluster, "linkerd-steward-mine"), "metadata", "ownerReferences")
    assert (owner["kind"], owner["name"]) == ("AlertPolicy", "mine")
    Undertaker(cluster.cluster).delete(ALERT_POLICIES, "mine", "shop")
    assert cluster.cluster.list(PROMETHEUS_RULES) == []


async def test_what_is_no_longer_wanted_is_removed_and_nothing_else(cluster: FakeKubernetes, kube: Kube) -> None:
    await put(kube, "theirs", "helm")
    alike: JsonObject = {
        "labels": {"app.kubernetes.io/managed-by": "linkerd-steward"},
        "annotations": {"steward.linkerd.io/unit": NAMES[0]},
    }
    await put(kube, "linkerd-steward-alike", "helm", alike)
    await carrier(kube).show({NAMES[0]: rules("mine", SUMS), NAMES[1]: rules("yours", OTHER)})
    await carrier(kube).show({NAMES[1]: rules("yours", OTHER)})
    left = [text(each, "metadata", "name") for each in cluster.cluster.list(PROMETHEUS_RULES)]
    assert left == ["linkerd-steward-alike", "linkerd-steward-yours", "theirs"]
    assert await carrier(kube).clear() == 1
    assert len(cluster.cluster.list(PROMETHEUS_RULES)) == 2


async def test_an_object_of_our_name_that_somebody_else_made_is_told_and_left_alone(
    cluster: FakeKubernetes, kube: Kube
) -> None:
    before = await put(kube, "linkerd-steward-mine", "helm")
    said = await carrier(kube).show({NAMES[0]: rules("mine", SUMS)})
    assert said is not None
    assert "PrometheusRule shop/linkerd-steward-mine: there is one of that name that Steward did not make" in said
    assert found(cluster, "linkerd-steward-mine") == before


@pytest.mark.usefixtures("cluster")
async def test_a_field_that_somebody_took_over_is_told_with_their_name(kube: Kube) -> None:
    await carrier(kube).show({NAMES[0]: rules("mine", SUMS)})
    theirs: JsonObject = {"groups": [{"name": "shop/sums", "rules": [{"record": "mine", "expr": "vector(2)"}]}]}
    await kube.apply(
        PROMETHEUS_RULES,
        {"metadata": {"name": "linkerd-steward-mine", "namespace": "shop"}, "spec": theirs},
        manager="argocd",
        force=True,
    )
    said = await carrier(kube).show({NAMES[0]: rules("mine", SUMS)})
    assert said is not None
    assert 'conflict with "argocd"' in said
    assert "somebody else changed it; delete the object" in said
    await kube.delete(PROMETHEUS_RULES, "linkerd-steward-mine", "shop")
    assert await carrier(kube).show({NAMES[0]: rules("mine", SUMS)}) is None


async def test_what_the_operators_webhook_refuses_never_comes_into_being_and_the_rest_does(
    cluster: FakeKubernetes, kube: Kube
) -> None:
    def judge(request: AdmissionRequest) -> None:
        if "bad" in str(dig(request.value, "spec")):
            raise Denied("Rules are not valid")

    cluster.admit(PROMETHEUS_RULES, judge, name="prometheusrules.openshift.io", operations=("CREATE", "UPDATE"))
    bad = Group("shop/bad", (Recording("shop:bad:sum", "sum(bad)"),))
    adopting = Adopting(carrier(kube), others_write=True)
    outcome = await adopting.adopt({NAMES[0]: rules("mine", bad), NAMES[1]: rules("yours", OTHER)})
    assert set(outcome.in_force) == {NAMES[1]}
    assert "Rules are not valid" in outcome.refused[NAMES[0]]
    good = await adopting.adopt({NAMES[0]: rules("mine", SUMS), NAMES[1]: rules("yours", OTHER)})
    refused = await adopting.adopt({NAMES[0]: rules("mine", bad), NAMES[1]: rules("yours", SUMS)})
    assert refused.in_force[NAMES[0]] == good.in_force[NAMES[0]]
    assert refused.in_force[NAMES[1]] == rules("yours", SUMS)
    assert dict(await carrier(kube).good()) == dict(refused.in_force)


@pytest.mark.parametrize("fault", [THROTTLED, BROKEN, Refuse(409, "Conflict", "come again")], ids=["429", "500", "409"])
@pytest.mark.parametrize("at", range(5))
async def test_whatever_request_fails_the_next_try_brings_all_into_force(
    cluster: FakeKubernetes, kube: Kube, fault: Refuse, at: int
) -> None:
    wanted = {NAMES[0]: rules("mine", SUMS), NAMES[1]: rules("yours", OTHER)}
    adopting = Adopting(carrier(kube), others_write=True)
    await adopting.adopt({NAMES[0]: rules("mine", OTHER)})
    cluster.faults.add(fault, path="prometheusrules", skip=at, times=1)
    with suppress(KubeError):
        await adopting.adopt(wanted)
    outcome = await adopting.adopt(wanted)
    assert (dict(outcome.in_force), outcome.refused) == (wanted, {})
    assert dict(await carrier(kube).good()) == wanted


@pytest.mark.parametrize("stage", ["before", "after"])
@pytest.mark.parametrize("at", range(8))
async def test_killed_at_any_write_another_replica_brings_all_into_force(
    cluster: FakeKubernetes, kube: Kube, at: int, stage: str
) -> None:
    wanted = {NAMES[0]: rules("mine", SUMS), NAMES[1]: rules("yours", OTHER)}
    await Adopting(carrier(kube), others_write=True).adopt({"shop.old.yaml": rules("old", OTHER)})
    first = asyncio.ensure_future(_adopt(Adopting(carrier(kube), others_write=True), wanted))
    writes = 0

    def kill(moment: WriteMoment) -> None:
        nonlocal writes
        if moment.stage == stage:
            writes += 1
            if writes == at + 1:
                first.cancel()

    cluster.on_write(kill)
    await asyncio.wait([first])
    outcome = await Adopting(carrier(kube), others_write=True).adopt(wanted)
    assert (dict(outcome.in_force), outcome.refused) == (wanted, {})
    assert dict(await carrier(kube).good()) == wanted
    assert len(cluster.cluster.list(PROMETHEUS_RULES)) == 2


def _adopt(adopting: Adopting, wanted: dict[str, str]) -> Awaitable[object]:
    return adopting.adopt(wanted)


async def test_many_rules_are_told_in_objects_that_the_operator_takes_and_fewer_rules_need_fewer(
    cluster: FakeKubernetes, kube: Kube
) -> None:
    long = "sum(requests) " + "+ sum(requests) " * 600
    groups = [Group(f"shop/{number}", (Recording("shop:sum", long),)) for number in range(100)]
    wanted = {NAMES[0]: rules("mine", *groups)}
    assert await carrier(kube).show(wanted) is None
    assert await carrier(kube).good() == wanted
    made = cluster.cluster.list(PROMETHEUS_RULES)
    assert len(made) == 4
    told = [text(each, "name") for one in made for each in rows(one, "spec", "groups")]
    assert {f"shop/{number}" for number in range(100)} <= set(told)
    assert await carrier(kube).show({NAMES[0]: rules("mine", SUMS)}) is None
    assert [text(each, "metadata", "name") for each in cluster.cluster.list(PROMETHEUS_RULES)] == [
        "linkerd-steward-mine"
    ]


async def test_the_names_of_objects_fit_into_a_key_of_a_config_map(cluster: FakeKubernetes, kube: Kube) -> None:
    names = ["n" * 253, f"{'n' * 252}m"]
    wanted = {f"shop.{name}.yaml": rules(name, SUMS) for name in names}
    assert await carrier(kube).show(wanted) is None
    made = [text(each, "metadata", "name") for each in cluster.cluster.list(PROMETHEUS_RULES)]
    assert len(set(made)) == 2
    assert all(len(f"{'x' * 63}-{name}-{'u' * 36}.yaml") <= 253 for name in made)


async def test_an_api_server_that_does_not_answer_is_no_refusal(cluster: FakeKubernetes, kube: Kube) -> None:
    cluster.faults.add(BROKEN, path="prometheusrules", times=None)
    with pytest.raises(ServerUnavailable):
        await carrier(kube).show({NAMES[0]: rules("mine", SUMS)})
