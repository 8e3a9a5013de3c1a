"""`Kube` against an API server that throttles, breaks, hangs and lies."""

import asyncio
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from steward.errors import ConfigurationError
from steward.jsonvalue import text, texts
from steward.kube.client import Kube, KubeOptions
from steward.kube.errors import (
    Conflict,
    Forbidden,
    Gone,
    Invalid,
    NotFound,
    ServerUnavailable,
    TooManyRequests,
    Unauthorized,
)
from steward.kube.resources import CONFIG_MAPS, DEPLOYMENTS, PODS, UPGRADE_RUNS, Resource
from steward.kube.retries import RetryPolicy
from steward.testing.kubernetes.access import Rule
from steward.testing.kubernetes.faults import BROKEN, EXPIRED, THROTTLED, Delay, Garbage, Hang, Refuse, Reset
from steward.testing.kubernetes.server import FakeKubernetes
from tests.common.kube.observing import Observed, config_map, until

_QUICKLY_THROTTLED = Refuse(429, message="Too many requests, please try again later.", plain=True)


def _written(fake: FakeKubernetes) -> list[tuple[str, int]]:
    return [(entry.method, entry.code) for entry in fake.audit]


async def test_every_request_has_a_timeout(fake_kubernetes: FakeKubernetes) -> None:
    fake_kubernetes.faults.add(Hang(), times=None)
    one_try = KubeOptions(timeout=timedelta(milliseconds=100), retry=RetryPolicy(attempts=1))
    async with await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), options=one_try) as impatient:
        with pytest.raises(ServerUnavailable, match=r"get configmaps 'default/a': no answer from .* within 0.1 s"):
            await impatient.get(CONFIG_MAPS, "a", "default")


async def test_a_throttled_request_is_repeated_whatever_it_is(
    kube: Kube, fake_kubernetes: FakeKubernetes, observed: Observed
) -> None:
    fake_kubernetes.faults.add(_QUICKLY_THROTTLED, method="POST", times=2)
    made = await kube.create(CONFIG_MAPS, config_map("a"))
    assert text(made, "metadata", "name") == "a"
    assert _written(fake_kubernetes) == [("POST", 201)]
    assert observed.answers == [("POST", "configmaps", 429), ("POST", "configmaps", 429), ("POST", "configmaps", 201)]
    assert observed.retries == [("POST", "configmaps", "429")] * 2


async def test_retry_after_is_obeyed_even_when_the_body_is_plain_text(fake_kubernetes: FakeKubernetes) -> None:
    class Clock:
        """Sleeps in no time and remembers for how long."""

        def __init__(self) -> None:
            self.slept: list[float] = []

        def now(self) -> datetime:
            raise AssertionError("a client has no use for the wall clock")

        def monotonic(self) -> float:
            return sum(self.slept)

        async def sleep(self, duration: timedelta) -> None:
            self.slept.append(duration.total_seconds())

    clock = Clock()
    fake_kubernetes.faults.add(Refuse(429, message="slow down", retry_after=7, plain=True))
    async with await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), clock=clock) as kube:
        await kube.create(CONFIG_MAPS, config_map("a"))
    assert len(clock.slept) == 1
    assert 7.0 <= clock.slept[0] <= 7.7


async def test_a_retry_after_beyond_all_patience_is_handed_to_the_caller(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    fake_kubernetes.faults.add(Refuse(429, message="maintenance", retry_after=3600, plain=True))
    with pytest.raises(TooManyRequests, match="maintenance") as refused:
        await kube.get(CONFIG_MAPS, "a", "default")
    assert refused.value.retry_after == timedelta(hours=1)


@pytest.mark.parametrize("fault", [Reset(), Reset(after=True), BROKEN, Garbage(), Refuse(502, message="<html>")])
async def test_reads_are_repeated_after_any_failure(
    kube: Kube, fake_kubernetes: FakeKubernetes, fault: Reset | Refuse | Garbage
) -> None:
    await kube.create(CONFIG_MAPS, config_map("a"))
    fake_kubernetes.faults.add(fault, method="GET", times=1)
    if isinstance(fault, Garbage):
        with pytest.raises(ServerUnavailable, match="the answer cannot be read"):
            await kube.get(CONFIG_MAPS, "a", "default")
    assert text(await kube.get(CONFIG_MAPS, "a", "default"), "metadata", "name") == "a"


async def test_a_create_whose_answer_was_lost_is_not_repeated_but_reported(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    fake_kubernetes.faults.add(Reset(after=True), method="POST")
    with pytest.raises(ServerUnavailable, match="create configmaps 'default/a'") as lost:
        await kube.create(CONFIG_MAPS, config_map("a"))
    assert lost.value.outcome_unknown
    assert _written(fake_kubernetes) == [("POST", 201)]
    assert await kube.find(CONFIG_MAPS, "a", "default") is not None


async def test_a_create_that_never_left_is_repeated(fake_kubernetes: FakeKubernetes, observed: Observed) -> None:
    patient = KubeOptions(
        retry=RetryPolicy(attempts=50, first=timedelta(milliseconds=5), longest=timedelta(milliseconds=20))
    )
    async with await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), options=patient, observer=observed) as kube:
        await fake_kubernetes.stop()
        waiting = asyncio.create_task(kube.create(CONFIG_MAPS, config_map("a")))
        await until(lambda: bool(observed.answers))
        await fake_kubernetes.start()
        assert text(await waiting, "metadata", "name") == "a"


async def test_a_refused_connection_is_a_failure_that_certainly_changed_nothing(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    await fake_kubernetes.stop()
    with pytest.raises(ServerUnavailable, match="cannot connect to") as refused:
        await kube.create(CONFIG_MAPS, config_map("a"))
    assert not refused.value.outcome_unknown


async def test_an_apply_whose_answer_was_lost_is_simply_applied_again(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    fake_kubernetes.faults.add(Reset(after=True), method="PATCH")
    made = await kube.apply(CONFIG_MAPS, config_map("a", key="1"), manager="steward")
    assert texts(made, "data") == {"key": "1"}
    assert _written(fake_kubernetes) == [("PATCH", 201), ("PATCH", 200)]
    assert fake_kubernetes.audit[0].version == fake_kubernetes.audit[1].version


async def test_a_guarded_replacement_that_meets_its_own_first_attempt_says_so(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    made = await kube.create(CONFIG_MAPS, config_map("a", key="1"))
    fake_kubernetes.faults.add(Hang(after=True), method="PUT")
    with pytest.raises(Conflict) as met:
        await kube.replace(CONFIG_MAPS, {**made, "data": {"key": "2"}})
    assert met.value.earlier_attempt_unknown
    assert texts(await kube.get(CONFIG_MAPS, "a", "default"), "data") == {"key": "2"}


async def test_a_delete_that_finds_nothing_the_second_time_has_deleted(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    await kube.create(CONFIG_MAPS, config_map("a"))
    fake_kubernetes.faults.add(Hang(after=True), method="DELETE")
    assert await kube.delete(CONFIG_MAPS, "a", "default")
    assert not await kube.delete(CONFIG_MAPS, "a", "default")


async def test_an_eviction_is_never_repeated(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    refusal = fake_kubernetes.faults.add(_QUICKLY_THROTTLED, path="eviction", times=None)
    with pytest.raises(TooManyRequests):
        await kube.evict("default", "web")
    assert refusal.hits == 1


async def test_a_sick_server_is_not_made_sicker(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    broken = fake_kubernetes.faults.add(BROKEN, times=None)
    for _ in range(100):
        with pytest.raises(ServerUnavailable):
            await kube.get(CONFIG_MAPS, "a", "default")
    assert broken.hits < 170, "50 in reserve and a tenth of the requests, instead of 5 for each"


async def test_a_page_that_expires_begins_the_list_again(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    for number in range(8):
        await kube.create(CONFIG_MAPS, config_map(f"a{number}"))
    expired = fake_kubernetes.faults.add(EXPIRED, method="GET", skip=2)
    found = await kube.list(CONFIG_MAPS, "default")
    assert [text(one, "metadata", "name") for one in found.items] == [f"a{number}" for number in range(8)]
    assert expired.hits == 1


async def test_a_cluster_that_always_forgets_is_listed_in_one_answer(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    for number in range(8):
        await kube.create(CONFIG_MAPS, config_map(f"a{number}"))

    pages = kube.pages(CONFIG_MAPS, "default")
    assert len((await anext(pages)).items) == 3
    fake_kubernetes.cluster.store.compact()
    with pytest.raises(Gone):
        await anext(pages)
    fake_kubernetes.faults.add(Refuse(410, "Expired", "too old"), path="configmaps", times=3, skip=0)
    assert len((await kube.list(CONFIG_MAPS, "default")).items) == 8


async def test_refusals_name_the_object_and_the_reason(fake_kubernetes: FakeKubernetes) -> None:
    reader = fake_kubernetes.add_user(
        "t0ken", "system:serviceaccount:steward:reader", [Rule(("get", "list"), ("",), ("pods",))]
    )
    async with await Kube.connect(kubeconfig=reader) as kube:
        assert await kube.access("list", PODS, "default")
        assert not await kube.access("create", PODS, "default")
        with pytest.raises(Forbidden, match=r"create pods 'default/a': .*reader\" cannot create resource \"pods\""):
            await kube.create(PODS, {"metadata": {"name": "a", "namespace": "default"}})
    stranger = fake_kubernetes.kubeconfig("stranger")
    async with await Kube.connect(kubeconfig=stranger) as kube:
        with pytest.raises(Unauthorized, match="get pods 'default/a': Unauthorized"):
            await kube.get(PODS, "a", "default")


async def test_after_a_401_the_credentials_are_read_once_more(fake_kubernetes: FakeKubernetes) -> None:
    everything = [Rule(("*",), ("*",))]
    kubeconfig = fake_kubernetes.add_user("first", "steward", everything)
    async with await Kube.connect(kubeconfig=kubeconfig) as kube:
        await kube.create(CONFIG_MAPS, config_map("a"))
        fake_kubernetes.access.remove("first")
        kubeconfig.write_text(fake_kubernetes.add_user("second", "steward", everything).read_text())
        assert await kube.find(CONFIG_MAPS, "a", "default")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "cannot use kubeconfig"),
        ("]broken[", "cannot use kubeconfig"),
        ("apiVersion: v1\nkind: Config\n", "context"),
    ],
    ids=["empty", "not YAML", "without a context"],
)
async def test_an_unusable_kubeconfig_is_a_configuration_error(tmp_path: Path, content: str, words: str) -> None:
    path = tmp_path / "kubeconfig"
    path.write_text(content)
    with pytest.raises(ConfigurationError, match=words):
        await Kube.connect(kubeconfig=path)


async def test_a_missing_kubeconfig_and_a_missing_pod_are_configuration_errors(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="check the file and the name of its context"):
        await Kube.connect(kubeconfig=tmp_path / "none")
    with pytest.raises(ConfigurationError, match="outside a pod give a kubeconfig"):
        await Kube.connect()


async def test_an_unknown_context_is_a_configuration_error(fake_kubernetes: FakeKubernetes) -> None:
    with pytest.raises(ConfigurationError, match="elsewhere"):
        await Kube.connect(kubeconfig=fake_kubernetes.kubeconfig(), context="elsewhere")


async def test_a_slow_answer_within_the_timeout_is_an_answer(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    await kube.create(CONFIG_MAPS, config_map("a"))
    fake_kubernetes.faults.add(Delay(timedelta(milliseconds=50)), method="GET")
    assert await kube.find(CONFIG_MAPS, "a", "default")


async def test_find_is_none_also_where_the_resource_is_not_installed(kube: Kube) -> None:
    assert await kube.find(UPGRADE_RUNS, "a") is None
    assert not await kube.serves(UPGRADE_RUNS)
    with pytest.raises(NotFound):
        await kube.list(UPGRADE_RUNS)


async def test_applies_of_unknown_fields_are_invalid_and_not_repeated(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    message = "failed to create typed patch object (default/a; v1, Kind=ConfigMap): .dada: field not declared in schema"
    refusal = fake_kubernetes.faults.add(Refuse(500, "", message), times=None)
    with pytest.raises(Invalid, match=r"\.dada: field not declared in schema"):
        await kube.apply(CONFIG_MAPS, config_map("a"))
    assert refusal.hits == 1


async def test_what_kubernetes_asyncio_gets_wrong_does_not_reach_us(
    kube: Kube, fake_kubernetes: FakeKubernetes
) -> None:
    """Its DynamicClient returns a Status for a 404, its custom objects client sends JSON patches and loses a 201."""
    with pytest.raises(NotFound):
        await kube.get(CONFIG_MAPS, "none", "default")
    created = await kube.apply(CONFIG_MAPS, config_map("a", key="1"))
    assert text(created, "metadata", "uid"), "an apply that creates answers with the object"
    await kube.merge(CONFIG_MAPS, "a", {"data": {"key": "2"}}, "default")
    assert [entry.code for entry in fake_kubernetes.audit] == [201, 200]


@pytest.mark.parametrize(
    ("resource", "namespace", "name", "subresource", "path"),
    [
        (PODS, None, None, "", "/api/v1/pods"),
        (PODS, "a", "b", "eviction", "/api/v1/namespaces/a/pods/b/eviction"),
        (DEPLOYMENTS, "a", None, "", "/apis/apps/v1/namespaces/a/deployments"),
        (UPGRADE_RUNS, None, "x", "status", "/apis/steward.linkerd.io/v1alpha1/upgraderuns/x/status"),
        (PODS, "a", "../b", "", "/api/v1/namespaces/a/pods/..%2Fb"),
    ],
)
def test_paths_are_built_from_handles(
    resource: Resource, namespace: str | None, name: str | None, subresource: str, path: str
) -> None:
    assert resource.path(namespace, name, subresource) == path


def test_an_object_in_a_namespace_cannot_be_addressed_without_it() -> None:
    with pytest.raises(ValueError, match="pods 'a' needs a namespace"):
        PODS.path(None, "a")


async def test_a_throttle_is_recognised_by_its_code_alone(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    fake_kubernetes.faults.add(THROTTLED, method="POST", path="eviction")
    with pytest.raises(TooManyRequests, match="Too many requests") as refused:
        await kube.evict("default", "web")
    assert refused.value.retry_after == timedelta(seconds=1)
