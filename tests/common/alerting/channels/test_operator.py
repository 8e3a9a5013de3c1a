"""AlertmanagerConfig objects, and what the operator makes of them."""

from collections.abc import Callable

import pytest

from steward.alerting.channels.operator import Operator, Strategy, rendered_objects
from steward.alerting.channels.target import OwnWebhook, Target
from steward.jsonvalue import JsonObject, dig, rows, table, text, walk
from steward.resources.alert_channel import SecretRef
from steward.yamlvalue import render_yaml
from tests.common.alerting.channels.specimens import CURRENT, HOME, KINDS, OBJECTS, channel, target

ALL = Operator(Strategy.NONE)
WITH_TOKEN = Target(
    HOME, CURRENT, own=OwnWebhook("http://steward:9465/a", token=SecretRef(name="steward", key="token"))
)


def spec_of(name: str) -> JsonObject:
    """The spec of the object that a channel of this kind becomes."""
    (found,) = rendered_objects([channel("emojivoto", name, **OBJECTS[name])], target(), ALL).objects
    return found.spec


def test_every_kind_is_written_as_it_was_when_the_operator_itself_took_it(golden: Callable[[str, str], None]) -> None:
    """The golden file was given to the operator's own conversion (0.93), and what came out of it to amtool."""
    channels = [channel("emojivoto", kind, **OBJECTS[kind]) for kind in OBJECTS]
    quiet = channel(HOME, "quiet", **OBJECTS["hook"], quiet=[{"begins": "22:00", "ends": "06:00"}])
    found = rendered_objects([*channels, quiet], WITH_TOKEN, ALL)
    assert found.own is not None
    objects = [found.own.to_json({"release": "prometheus"}), *(each.to_json() for each in found.objects)]
    golden("alertmanagerconfigs.yaml", "---\n".join(render_yaml(each) for each in objects))


def test_each_channel_is_an_object_of_its_own_namespace() -> None:
    channels = [channel(namespace, "hook", **OBJECTS["hook"]) for namespace in (HOME, "emojivoto", "books")]
    found = rendered_objects(channels, target(), ALL)
    assert [(each.namespace, each.name) for each in found.objects] == [
        (HOME, "linkerd-steward-hook"),
        ("emojivoto", "linkerd-steward-hook"),
        ("books", "linkerd-steward-hook"),
    ]
    assert dig(found.objects[1].spec, "route", "matchers") == [
        {"name": "namespace", "value": "emojivoto", "matchType": "="},
        {"name": "severity", "value": "none", "matchType": "!="},
    ]


@pytest.mark.parametrize(
    ("kind", "place", "field", "entry"),
    [
        ("mail-with-password", "emailConfigs", "authPassword", {"name": "smtp", "key": "password"}),
        ("slack", "slackConfigs", "apiURL", {"name": "slack", "key": "url"}),
        ("pager", "pagerdutyConfigs", "routingKey", {"name": "pager", "key": "routing-key"}),
        ("hook-with-secret-address", "webhookConfigs", "urlSecret", {"name": "hook", "key": "url"}),
        ("teams", "msteamsv2Configs", "webhookURL", {"name": "teams", "key": "url"}),
    ],
)
def test_secrets_are_named_and_never_files(kind: str, place: str, field: str, entry: JsonObject) -> None:
    spec = spec_of(kind)
    assert dig(spec, "receivers", 0, place, 0, field) == entry
    assert not [each for each in walk(spec) if text(each).endswith(".secret")]


def test_a_bearer_token_is_an_entry_too() -> None:
    found = dig(spec_of("hook-with-token"), "receivers", 0, "webhookConfigs", 0, "httpConfig", "authorization")
    assert found == {"type": "Bearer", "credentials": {"name": "hook", "key": "token"}}


def test_what_the_objects_have_no_field_for_is_refused_with_the_remedy() -> None:
    zoned = channel(HOME, "zoned", **OBJECTS["hook"], quiet=[{}], timeZone="Europe/Berlin")
    found = rendered_objects([channel(HOME, "bot", **OBJECTS["slack-bot"]), zoned], target(), ALL)
    assert [(each.object, each.reason) for each in found.refused] == [
        (f"AlertChannel/{HOME}/bot", "NoBotToken"),
        (f"AlertChannel/{HOME}/zoned", "NoTimeZones"),
    ]
    assert all("delivery by files" in each.remedy for each in found.refused)


def test_a_mail_server_whose_address_the_operator_would_break_is_refused() -> None:
    mail = channel(HOME, "mail", **KINDS["mail-with-password"])
    (refused,) = rendered_objects([mail], target(), ALL).refused
    assert refused.reason == "NoIpv6Smarthost"
    assert "'[2001:db8::25]:25'" in refused.message


def test_teams_needs_an_alertmanager_that_has_it_here_too() -> None:
    teams = channel(HOME, "teams", **OBJECTS["teams"])
    assert [each.reason for each in rendered_objects([teams], target((0, 27)), ALL).refused] == ["NoTeams"]
    assert len(rendered_objects([teams], target((0, 28)), ALL).objects) == 1


def test_a_password_needs_no_new_alertmanager_because_the_operator_reads_it() -> None:
    found = rendered_objects([channel(HOME, "mail", **OBJECTS["mail-with-password"])], target((0, 22)), ALL)
    assert not found.refused


@pytest.mark.parametrize(
    ("operator", "narrowed"),
    [
        (Operator(Strategy.ON_NAMESPACE), True),
        (Operator(Strategy.ON_NAMESPACE, HOME), True),
        (Operator(Strategy.EXCEPT_OWN, "monitoring"), True),
        (Operator(Strategy.EXCEPT_OWN, HOME), False),
        (ALL, False),
    ],
    ids=str,
)
def test_what_the_operators_strategy_hides_is_said(operator: Operator, *, narrowed: bool) -> None:
    channels = [channel(HOME, "all", **OBJECTS["hook"]), channel("emojivoto", "own", **OBJECTS["hook"])]
    found = rendered_objects(channels, target(), operator)
    said = [each.object for each in found.remarks if each.reason == "NarrowedByOperator"]
    assert said == ([f"AlertChannel/{HOME}/all", f"AlertmanagerConfig/{HOME}/linkerd-steward"] if narrowed else [])
    if narrowed:
        assert "without a label `namespace` reaches no object at all" in found.remarks[0].message


def test_stewards_own_object_tells_it_of_all_and_of_the_watchdog_at_once() -> None:
    own = rendered_objects([], WITH_TOKEN, ALL).own
    assert own is not None
    assert (own.namespace, own.name) == (HOME, "linkerd-steward")
    route = table(own.spec, "route")
    assert (route["receiver"], route["matchers"], route["groupBy"]) == ("linkerd-steward", [], ["..."])
    (watchdog,) = rows(route, "routes")
    assert watchdog["matchers"] == [{"name": "alertname", "value": "Watchdog", "matchType": "="}]
    assert watchdog["groupWait"] == "0s"
    assert dig(own.spec, "inhibitRules", 0, "sourceMatch") == [
        {"name": "severity", "value": "critical", "matchType": "="}
    ]


def test_without_a_webhook_of_its_own_steward_still_brings_the_inhibitions() -> None:
    own = rendered_objects([], Target(HOME, CURRENT), ALL).own
    assert own is not None
    assert list(own.spec) == ["inhibitRules"]
    assert rendered_objects([], Target(HOME, CURRENT, inhibitions=()), ALL).own is None
