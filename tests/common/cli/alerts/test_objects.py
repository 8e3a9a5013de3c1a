"""`alerts policies`, `channels`, `policy new` and `channel new`; the test plays the service."""

import asyncio
import json
from datetime import timedelta

import pytest
import yaml

from steward.jsonvalue import Json, JsonObject, dig, rows, table, text
from steward.kube.resources import ALERT_CHANNELS, ALERT_POLICIES, NAMESPACES, SERVICES, Resource
from steward.kube.watching import WatchFrom
from steward.testing.command import Command, StewardCluster

NEW_POLICY = ("alerts", "policy", "new")
NEW_CHANNEL = ("alerts", "channel", "new")
MAIL = ("--to", "ops@acme.org", "--from", "mesh@acme.org", "--smarthost", "smtp.acme.org:587")


def condition(type: str, status: str, reason: str, message: str) -> JsonObject:
    return {
        "type": type,
        "status": status,
        "reason": reason,
        "message": message,
        "lastTransitionTime": "2026-11-21T09:05:00Z",
    }


IN_FORCE = condition("InForce", "True", "Applied", "generation 1 is in force")
REFUSED = condition(
    "InForce", "False", "TargetRefused", "parse error: unexpected end; the last good one stays in force"
)
BLIND = condition("Sighted", "False", "Blind", "WebFails cannot fire: this Prometheus has no response_total")
PARTLY = condition("Accepted", "False", "PartlyRefused", "Service/web: 70 ms is no bound of a bucket")


def policy(name: str, *conditions: Json, blind: int = 0, generation: int = 1) -> JsonObject:
    return {
        "kind": "AlertPolicy",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"controlPlane": {}},
        "status": {
            "observedGeneration": generation,
            "rules": 12,
            "blind": blind,
            "firing": 1,
            "conditions": list(conditions),
        },
    }


def channel(name: str, *conditions: Json) -> JsonObject:
    return {
        "kind": "AlertChannel",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {
            "slack": {"webhook": {"name": "slack", "key": "url"}},
            "match": {"severities": ["critical"], "teams": ["checkout"]},
        },
        "status": {"observedGeneration": 1, "kind": "Slack", "conditions": list(conditions)},
    }


async def play(cluster: StewardCluster, handle: Resource, *conditions: Json) -> None:
    """Say this of the object that appears."""
    listing = await cluster.kube.list(handle)
    async for event in cluster.kube.watch(handle, WatchFrom(listing.resource_version, timedelta(seconds=60))):
        status: JsonObject = {"observedGeneration": 1, "conditions": list(conditions)}
        await cluster.show({"kind": handle.kind, "metadata": table(event.object, "metadata"), "status": status})
        return


@pytest.fixture
async def shop(cluster: StewardCluster) -> StewardCluster:
    """A cluster with a namespace of that name."""
    await cluster.kube.create(NAMESPACES, {"metadata": {"name": "shop"}})
    return cluster


async def test_policies_say_what_is_in_force_refused_and_blind(cli: Command, shop: StewardCluster) -> None:
    await shop.put(policy("healthy", IN_FORCE))
    await shop.put(policy("broken", REFUSED))
    await shop.put(policy("sightless", IN_FORCE, BLIND, blind=3))
    await shop.put(policy("half", IN_FORCE, PARTLY))
    await shop.put(policy("unseen", IN_FORCE, generation=0))
    answer = await cli("alerts", "policies", COLUMNS="200")
    assert (answer.code, answer.err) == (0, "")
    lines = {line.split()[0]: line for line in answer.out.splitlines()}
    assert "in force" in lines["healthy"]
    assert "refused" in lines["broken"]
    assert "TargetRefused: parse error" in lines["broken"]
    assert "blind" in lines["sightless"]
    assert "no response_total" in lines["sightless"]
    assert "refused in part" in lines["half"]
    assert "70 ms is no bound" in lines["half"]
    assert "waiting" in lines["unseen"]
    as_json = json.loads((await cli("alerts", "policies", "-n", "shop", "-o", "json")).out)
    assert len(rows(as_json, "items")) == 5
    elsewhere = await cli("alerts", "policies", "-n", "elsewhere")
    assert elsewhere.err.startswith("there is no AlertPolicy in namespace 'elsewhere'")


async def test_channels_say_their_kind_and_what_they_get(cli: Command, shop: StewardCluster) -> None:
    await shop.put(channel("page", IN_FORCE))
    await shop.put(channel("broken", condition("InForce", "False", "NoSecret", "Secret slack has no entry url")))
    answer = await cli("alerts", "channels", COLUMNS="200")
    assert (answer.code, answer.err) == (0, "")
    lines = {line.split()[0]: line for line in answer.out.splitlines()}
    assert "Slack" in lines["page"]
    assert "critical; team checkout" in lines["page"]
    assert "NoSecret: Secret slack has no entry url" in lines["broken"]


async def test_a_new_policy_is_printed_without_a_cluster(cli: Command) -> None:
    answer = await cli(
        *NEW_POLICY, "--service", "web", "--success-rate", "99.9", "--latency", "500ms@99", "-n", "shop", "--team", "a"
    )
    assert answer.code == 0, answer.err
    assert yaml.safe_load(answer.out) == {
        "apiVersion": "steward.linkerd.io/v1alpha1",
        "kind": "AlertPolicy",
        "metadata": {"name": "web", "namespace": "shop"},
        "spec": {
            "targets": [{"kind": "Service", "name": "web"}],
            "objectives": [
                {"name": "success-rate", "successPercent": 99.9, "windowSeconds": 2_592_000},
                {
                    "name": "latency-500ms",
                    "latency": {"withinMilliseconds": 500, "percent": 99.0},
                    "windowSeconds": 2_592_000,
                },
            ],
            "team": "a",
        },
    }


async def test_what_is_printed_is_what_the_api_server_takes(cli: Command, shop: StewardCluster) -> None:
    printed = [
        await cli(*NEW_POLICY, "--control-plane", "-o", "json"),
        await cli(*NEW_POLICY, "--http-route", "web", "--grpc-route", "rpc", "--success-rate", "99", "-o", "json"),
        await cli(
            *NEW_CHANNEL, "mail", *MAIL, "--username", "mesh", "--password-secret", "smtp:password", "-o", "json"
        ),
        await cli(*NEW_CHANNEL, "slack", "--token-secret", "slack:token", "--channel", "#mesh", "-o", "json"),
        await cli(*NEW_CHANNEL, "pagerduty", "--routing-key-secret", "pager:key", "--team", "web", "-o", "json"),
        await cli(*NEW_CHANNEL, "webhook", "--url", "https://hooks.acme.org/a", "--label", "tier=one", "-o", "json"),
        await cli(*NEW_CHANNEL, "teams", "--webhook-secret", "teams:url", "--severity", "critical", "-o", "json"),
    ]
    handles = {each.kind: each for each in (ALERT_POLICIES, ALERT_CHANNELS)}
    for each in printed:
        assert each.code == 0, each.err
        document: JsonObject = json.loads(each.out)
        await shop.kube.create(handles[text(document, "kind")], document)
    assert len(shop.fake.cluster.list(ALERT_CHANNELS)) == 5


async def test_a_policy_is_applied_and_in_force_in_one_command(cli: Command, shop: StewardCluster) -> None:
    await shop.kube.create(SERVICES, {"metadata": {"name": "web", "namespace": "shop"}, "spec": {}})
    service = asyncio.create_task(play(shop, ALERT_POLICIES, IN_FORCE))
    answer = await cli(*NEW_POLICY, "--service", "web", "--success-rate", "99.9", "-n", "shop", "--apply")
    await service
    assert answer.code == 0, answer.err
    assert "AlertPolicy 'shop/web': in force" in answer.err
    (stored,) = shop.fake.cluster.list(ALERT_POLICIES)
    assert dig(stored, "spec", "objectives", 0, "successPercent") == 99.9


async def test_a_channel_that_is_refused_ends_with_1_and_the_reason(cli: Command, shop: StewardCluster) -> None:
    service = asyncio.create_task(play(shop, ALERT_CHANNELS, REFUSED))
    answer = await cli(*NEW_CHANNEL, "slack", "--webhook-secret", "slack:url", "-n", "shop", "--apply")
    await service
    assert answer.code == 1, answer.err
    assert "AlertChannel 'shop/slack': refused: TargetRefused: parse error" in answer.err
    assert "it needs Secret 'shop/slack' with entry 'url'" in answer.err


@pytest.mark.usefixtures("cluster")
async def test_a_service_that_does_not_exist_is_named_before_anything_is_applied(cli: Command) -> None:
    answer = await cli(*NEW_POLICY, "--service", "wbe", "--success-rate", "99.9", "-n", "shop", "--apply")
    assert answer.code == 3
    assert "there is no Service 'shop/wbe' to set an objective for" in answer.err
    assert "kubectl -n shop get services" in answer.err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((*NEW_POLICY,), "a policy says something"),
        ((*NEW_POLICY, "--service", "web"), "what is promised of Service 'web' is not said"),
        ((*NEW_POLICY, "--success-rate", "99"), "an objective needs something that it is for"),
        ((*NEW_POLICY, "--service", "web", "--success-rate", "100"), "less than or equal to 99.999"),
        ((*NEW_POLICY, "--service", "web", "--latency", "500ms"), "--latency '500ms' is no objective"),
        ((*NEW_POLICY, "--service", "web", "--latency", "soon@99"), "--latency 'soon'"),
        ((*NEW_POLICY, "--service", "web", "--latency", "1.5ms@99"), "no part of a millisecond"),
        ((*NEW_POLICY, "--service", "web", "--success-rate", "99", "--window", "long"), "--window 'long'"),
        ((*NEW_CHANNEL, "slack"), "give exactly one of --webhook-secret and --token-secret"),
        ((*NEW_CHANNEL, "slack", "--token-secret", "a:b"), "a bot needs to be told the channel"),
        ((*NEW_CHANNEL, "webhook", "--url", "ftp://x"), "url"),
        ((*NEW_CHANNEL, "webhook", "--url", "http://x", "--label", "9=a"), "'9' is no name of a label"),
        ((*NEW_CHANNEL, "mail", *MAIL, "--username", "a"), "a username needs a password"),
        ((*NEW_CHANNEL, "mail", "--to", "nobody", *MAIL[2:]), "to.0"),
    ],
)
async def test_what_cannot_be_meant_is_refused_in_words(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    answer = await cli(*arguments)
    assert answer.code == 2, answer.err
    assert said in answer.err
    assert "hint: " in answer.err
    assert "Traceback" not in answer.err
    assert answer.out == ""


async def test_a_secret_that_is_given_by_mistake_is_not_repeated(cli: Command) -> None:
    secret = "https://hooks.slack.com/services/T000/B000/XXXX"
    answer = await cli(*NEW_CHANNEL, "slack", "--webhook-secret", secret)
    assert answer.code == 2
    assert "--webhook-secret does not name an entry of a Secret" in answer.err
    assert "hooks.slack.com" not in answer.out + answer.err


async def test_a_context_s_namespace_is_used_as_kubectl_uses_it(cli: Command) -> None:
    path = cli.home / "config"
    path.write_text(
        "apiVersion: v1\nkind: Config\ncurrent-context: c\nclusters: [{name: c, cluster: {server: 'http://127.0.0.1:1'}}]\n"
        "contexts: [{name: c, context: {cluster: c, user: c, namespace: shop}}]\nusers: [{name: c, user: {}}]\n"
    )
    answer = await cli(*NEW_POLICY, "--control-plane", KUBECONFIG=str(path))
    assert text(yaml.safe_load(answer.out), "metadata", "namespace") == "shop"
