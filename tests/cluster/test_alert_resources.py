"""AlertPolicies and AlertChannels on a real API server: right ones come back as sent, wrong ones are refused."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from steward.jsonvalue import JsonObject
from steward.kube.client import Kube
from steward.kube.errors import Invalid
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, CRDS, NAMESPACES
from steward.resources import AlertChannel, AlertPolicy
from steward.resources.definitions import definition
from steward.testing.cluster.binaries import Binaries
from steward.testing.cluster.commands import Commands
from steward.testing.cluster.control_plane import Cluster
from steward.testing.cluster.workloads import unique
from tests.common.alerting.channels.specimens import KINDS as CHANNELS

pytestmark = pytest.mark.asyncio(loop_scope="module")

TARGET: JsonObject = {"kind": "Service", "name": "web"}
OBJECTIVE: JsonObject = {"name": "success", "successPercent": 99.9}
POLICIES: dict[str, JsonObject] = {
    "pack": {"controlPlane": {}},
    "changed pack": {
        "controlPlane": {
            "exclude": ["LinkerdAuthorizationDenied"],
            "changes": [{"alert": "LinkerdInjectorSlow", "severity": "critical", "forSeconds": 60, "threshold": 1.5}],
        }
    },
    "objectives": {
        "targets": [TARGET, {"kind": "GRPCRoute", "name": "checkout"}],
        "objectives": [
            OBJECTIVE,
            {"name": "fast", "latency": {"withinMilliseconds": 500, "percent": 99}, "windowSeconds": 604_800},
        ],
        "granularity": "Route",
        "side": "Server",
        "minimumRequestsPerSecond": 2.5,
        "severity": "warning",
        "team": "shop",
        "labels": {"tier": "gold"},
    },
    "rules": {
        "rules": [
            {
                "name": "CheckoutTooSlow",
                "expr": 'sum(rate(x{a="b"}[5m])) > 1',
                "forSeconds": 300,
                "severity": "info",
                "summary": "slow",
                "description": "too slow",
            }
        ]
    },
}
WRONG_POLICIES: dict[str, tuple[JsonObject, str]] = {
    "nothing": ({}, "a policy says something"),
    "no targets": ({"objectives": [OBJECTIVE]}, "objectives need targets"),
    "both at once": (
        {"targets": [TARGET], "objectives": [{**OBJECTIVE, "latency": {"withinMilliseconds": 500}}]},
        "give exactly one of successPercent and latency",
    ),
    "a name": ({"rules": [{"name": "not camel", "expr": "up"}]}, "an alert is named in CamelCase"),
}
WRONG_CHANNELS: dict[str, tuple[JsonObject, str]] = {
    "nothing": ({}, "a channel is exactly one of"),
    "two": ({**CHANNELS["mail"], **CHANNELS["teams"]}, "a channel is exactly one of"),
    "no way": ({"slack": {"channel": "#mesh"}}, "Slack is reached by webhook or by botToken"),
    "a bot without a channel": ({"slack": {"botToken": {"name": "slack", "key": "token"}}}, "told the channel"),
    "two addresses": (
        {"webhook": {"url": "https://hooks.acme.org", "urlFrom": {"name": "hook", "key": "url"}}},
        "in url or in urlFrom",
    ),
    "an address": (
        {"email": {"to": ["nobody"], "sender": "mesh@acme.org", "smarthost": "smtp.acme.org:587"}},
        "written like `ops@acme.org`",
    ),
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kube(
    scenario_cluster: Cluster, binaries: Binaries, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Kube]:
    commands = Commands(binaries, scenario_cluster.kubeconfig, tmp_path_factory.mktemp("kubectl"))
    async with await Kube.connect(kubeconfig=scenario_cluster.kubeconfig) as connected:
        for kind in (AlertPolicy, AlertChannel):
            await connected.apply(CRDS, definition(kind), manager="alert-resources-test", force=True)
        commands.until_established(*(f"{kind.plural}.steward.linkerd.io" for kind in (AlertPolicy, AlertChannel)))
        await connected.apply(NAMESPACES, {"metadata": {"name": "alerted"}}, force=True)
        yield connected


def named(spec: JsonObject) -> JsonObject:
    """An object of a name that nobody else has."""
    return {"metadata": {"name": unique("alerts"), "namespace": "alerted"}, "spec": spec}


@pytest.mark.parametrize("spec", POLICIES.values(), ids=POLICIES)
async def test_a_policy_comes_back_as_its_model_reads_it(kube: Kube, spec: JsonObject) -> None:
    stored = await kube.create(ALERT_POLICIES, named(spec))
    assert AlertPolicy.of(stored).spec == AlertPolicy.of({"spec": spec}).spec


@pytest.mark.parametrize("spec", CHANNELS.values(), ids=CHANNELS)
async def test_a_channel_comes_back_as_its_model_reads_it(kube: Kube, spec: JsonObject) -> None:
    stored = await kube.create(ALERT_CHANNELS, named(spec))
    assert AlertChannel.of(stored).spec == AlertChannel.of({"spec": spec}).spec


@pytest.mark.parametrize(("spec", "said"), WRONG_POLICIES.values(), ids=WRONG_POLICIES)
async def test_a_wrong_policy_is_refused_in_a_sentence(kube: Kube, spec: JsonObject, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        await kube.create(ALERT_POLICIES, named(spec))


@pytest.mark.parametrize(("spec", "said"), WRONG_CHANNELS.values(), ids=WRONG_CHANNELS)
async def test_a_wrong_channel_is_refused_in_a_sentence(kube: Kube, spec: JsonObject, said: str) -> None:
    with pytest.raises(Invalid, match=said):
        await kube.create(ALERT_CHANNELS, named(spec))
