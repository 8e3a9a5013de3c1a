"""What people get: every kind of channel through a real Alertmanager, current and old."""

import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from steward.alerting.channels.plain import Rendered, rendered
from steward.alerting.channels.redaction import reveals
from steward.alerting.channels.target import OwnWebhook, Target
from steward.alerting.webhook import Status, Telling, read
from steward.jsonvalue import Json, JsonObject, dig, rows, table, text
from steward.resources.alert_channel import AlertChannel
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.mail import Mail, MailRules, SmtpSink
from steward.testing.monitoring.tools import Generation, MonitoringTools
from steward.testing.monitoring.webhooks import Post, Reply, WebhookSink
from steward.yamlvalue import render_yaml
from tests.common.alerting.channels.specimens import CURRENT, HOME, OLD, channel

pytestmark = pytest.mark.monitoring

VERSIONS = {Generation.CURRENT: CURRENT, Generation.OLD: OLD}
SECRETS = {
    "password": "S3cret-Passw0rd",
    "routing-key": "S3cret-Routing-Key",
    "bearer": "S3cret-Bearer",
    "own": "S3cret-Own-Token",
}
QUICK: JsonObject = {"groupWaitSeconds": 1, "groupIntervalSeconds": 1, "repeatSeconds": 3600, "groupBy": ["alertname"]}
BEGAN, ENDED, LATER = "2024-01-02T09:00:00Z", "2024-01-02T09:05:30Z", "2099-01-01T00:00:00Z"
RUNBOOK = "https://runbooks.acme.org/checkouttooslow?a=1&b=<2>|x"
QUERY = "http://prometheus.acme.org/graph?g0.expr=rate%28x%5B5m%5D%29+%3E+1"
WEB: JsonObject = {
    "labels": {
        "alertname": "CheckoutTooSlow",
        "severity": "critical",
        "namespace": "shop",
        "service": "web<!channel>",
        "route": 'GET /orders/{id}?q="{{ .ExternalURL }}"',
        "burn": "fast",
    },
    "annotations": {
        "summary": "2.1 % of the answers of <b>web</b> & co.\ntake longer than 500 ms",
        "description": "The objective is 99 %.\nIt [burns](http://evil.example) 14 times too fast.",
        "runbook": "CheckoutTooSlow",
        "runbook_url": RUNBOOK,
    },
    "startsAt": BEGAN,
    "generatorURL": QUERY,
}
VOTING: JsonObject = {
    "labels": {"alertname": "CheckoutTooSlow", "severity": "warning", "namespace": "shop", "service": "voting"},
    "annotations": {"summary": "voting is slow", "runbook": "$(reboot)", "runbook_url": "javascript:alert(1)"},
    "startsAt": BEGAN,
}
FENCE: JsonObject = {"labels": {"alertname": "Fence", "namespace": "shop", "severity": "info"}, "startsAt": BEGAN}


def firing(alert: JsonObject) -> JsonObject:
    return {**alert, "endsAt": LATER}


def ended(alert: JsonObject) -> JsonObject:
    return {**alert, "endsAt": ENDED}


@dataclass(frozen=True, slots=True)
class World:
    """An Alertmanager with a channel of every kind, and the places where they end."""

    alertmanager: Alertmanager
    hooks: WebhookSink
    mails: SmtpSink
    written: Rendered

    async def tell(self, *alerts: JsonObject) -> None:
        members: list[Json] = list(alerts)
        await self.alertmanager.post("/api/v2/alerts", members)

    async def arrive(self, name: str, *, resolved: bool) -> dict[str, Post | Mail]:
        """What comes to each place about alerts of a name: the first that says that something fires, or none does."""
        found: dict[str, Post | Mail] = {}
        for outlet in self.written.outlets:
            kind = outlet.channel.name
            if kind == "mail":
                found[kind] = await self.mails.until(lambda mail: name in mail.subject and _over(mail) is resolved)
            else:
                found[kind] = await self.hooks.until(_about(f"/{kind}", name, resolved=resolved))
        return found

    def count(self, name: str) -> dict[str, int]:
        """How many messages about alerts of a name came to each place."""
        mails = {"mail": sum(name in mail.subject for mail in self.mails.mails)}
        kinds = [each.channel.name for each in self.written.outlets if each.channel.name != "mail"]
        return mails | {
            kind: sum(post.path == f"/{kind}" and name in json.dumps(post.body) for post in self.hooks.posts)
            for kind in kinds
        }

    def plain(self, said: str) -> str:
        """Without what differs from run to run."""
        port = self.alertmanager.port
        return re.sub(rf"http://[^/:\s\"]+:{port}\b", "http://alertmanager:9093", said)


def _on(path: str, word: str) -> Callable[[Post], bool]:
    return lambda post: post.path == path and word in json.dumps(post.body)


def _over(mail: Mail) -> bool:
    return mail.subject.startswith("[resolved]")


def _about(path: str, name: str, *, resolved: bool) -> Callable[[Post], bool]:
    return lambda post: post.path == path and name in json.dumps(post.body) and _is_over(post) is resolved


def _is_over(post: Post) -> bool:
    """Whether nothing of the group fires any more, as each kind says it."""
    match post.path:
        case "/slack":
            return dig(post.body, "attachments", 0, "color") == "good"
        case "/pager":
            return text(post.body, "event_action") == "resolve"
        case "/teams":
            return text(post.body, "attachments", 0, "content", "body", 0, "text").startswith("[resolved]")
        case _:
            return text(post.body, "status") == "resolved"


def channels(hooks: WebhookSink, mails: SmtpSink) -> list[AlertChannel]:
    mail: JsonObject = {
        "to": ["on-call@acme.org", "{{.Receiver}}@acme.org"],
        "sender": "mesh@acme.org",
        "smarthost": mails.address,
        "username": "mesh",
        "password": {"name": "smtp", "key": "password"},
        "requireTls": False,
    }
    kinds: dict[str, JsonObject] = {
        "mail": {"email": mail},
        "slack": {"slack": {"webhook": {"name": "slack", "key": "url"}, "channel": "#mesh-{{ .Status }}"}},
        "pager": {"pagerDuty": {"routingKey": {"name": "pager", "key": "routing-key"}, "url": f"{hooks.url}/pager"}},
        "hook": {"webhook": {"url": f"{hooks.url}/hook", "bearerToken": {"name": "hook", "key": "bearer"}}},
        "teams": {"teams": {"webhook": {"name": "teams", "key": "url"}}},
    }
    return [channel("shop", kind, **spec, **QUICK) for kind, spec in kinds.items()]


def secrets(hooks: WebhookSink) -> dict[str, str]:
    """Entry → value; addresses are secrets too."""
    return {**SECRETS, "slack": f"{hooks.url}/slack", "teams": f"{hooks.url}/teams"}


def write(folder: Path, found: Rendered, values: Mapping[str, str]) -> None:
    (folder / "own").write_text(values["own"])
    for each in found.secret_files:
        Path(each.path).write_text(values[each.secret.name if each.secret.key == "url" else each.secret.key])


@asynccontextmanager
async def world(tools: MonitoringTools, folder: Path, hooks: WebhookSink) -> AsyncIterator[World]:
    values = secrets(hooks)
    async with SmtpSink(MailRules(user="mesh", password=SECRETS["password"])) as mails:
        own = OwnWebhook(f"{hooks.url}/own", token_file=str(folder / "own"))
        found = rendered(channels(hooks, mails), Target(HOME, VERSIONS[tools.generation], str(folder), own))
        write(folder, found, values)
        assert reveals(found.document, values.values()) == ()
        async with Alertmanager(tools, render_yaml(found.document)) as alertmanager:
            yield World(alertmanager, hooks, mails, found)


@pytest.fixture
def hooks(webhook_sink: WebhookSink) -> WebhookSink:
    webhook_sink.always(Reply(202, "ok"))
    return webhook_sink


async def test_every_channel_is_told_once_that_it_begins_and_once_that_it_ends(
    each_monitoring_tools: MonitoringTools, tmp_path: Path, hooks: WebhookSink, golden: Callable[[str, str], None]
) -> None:
    async with world(each_monitoring_tools, tmp_path, hooks) as here:
        await here.tell(firing(WEB))
        begun = await here.arrive("CheckoutTooSlow", resolved=False)
        await here.tell(ended(WEB))
        over = await here.arrive("CheckoutTooSlow", resolved=True)
        await here.tell(firing(FENCE))
        await here.arrive("Fence", resolved=False)
        assert here.count("CheckoutTooSlow") == dict.fromkeys(begun, 2)
        assert "Notify for alerts failed" not in here.alertmanager.log

        for kind in begun:
            told = f"{_shown(begun[kind])}\n{'=' * 100}\n{_shown(over[kind])}"
            golden(f"{kind}.txt", here.plain(told))
        assert _header(begun["hook"], "authorization") == f"Bearer {SECRETS['bearer']}"
        pager = begun["pager"]
        assert isinstance(pager, Post)
        assert text(pager.body, "routing_key") == SECRETS["routing-key"]
        assert pager.body["dedup_key"] == (_body(over["pager"])["dedup_key"])


async def test_several_alerts_are_one_message_that_names_each(
    each_monitoring_tools: MonitoringTools, tmp_path: Path, hooks: WebhookSink, golden: Callable[[str, str], None]
) -> None:
    async with world(each_monitoring_tools, tmp_path, hooks) as here:
        await here.tell(firing(WEB), firing(VOTING))
        await here.arrive("CheckoutTooSlow", resolved=False)
        here.hooks.clear()
        here.mails.clear()
        await here.tell(firing(WEB), ended(VOTING))
        found = await here.arrive("CheckoutTooSlow", resolved=False)
        for kind, message in found.items():
            golden(f"{kind}-several.txt", here.plain(_shown(message)))


async def test_a_message_of_hundreds_of_alerts_is_short_enough_to_be_taken(
    each_monitoring_tools: MonitoringTools, tmp_path: Path, hooks: WebhookSink
) -> None:
    many = [
        firing(
            {
                "labels": {**table(WEB, "labels"), "pod": f"web-{number}"},
                "annotations": {**table(WEB, "annotations"), "description": "long " * 200},
                "startsAt": BEGAN,
            }
        )
        for number in range(300)
    ]
    async with world(each_monitoring_tools, tmp_path, hooks) as here:
        await here.tell(*many)
        slack = await hooks.until(_on("/slack", "10 of 300 that fire are written out."))
        assert len(text(rows(slack.body, "attachments")[0], "text")) < 20_000
        mail = await here.mails.until(lambda mail: "300 firing" in mail.subject)
        assert mail.subject == "[critical] 300 firing: CheckoutTooSlow in shop, service web<!channel>"
        assert "40 of 300 are written out." in mail.text
        if "teams" in {each.channel.name for each in here.written.outlets}:
            teams = await hooks.until(_on("/teams", "10 of 300"))
            # Teams refuses more than 28 KB.
            assert len(json.dumps(teams.body)) < 28_000


async def test_steward_is_told_of_each_alert_by_itself_and_at_once(
    each_monitoring_tools: MonitoringTools, tmp_path: Path, hooks: WebhookSink
) -> None:
    watchdog: JsonObject = {"labels": {"alertname": "Watchdog", "severity": "none"}, "startsAt": BEGAN, "endsAt": LATER}
    async with world(each_monitoring_tools, tmp_path, hooks) as here:
        await here.tell(firing(WEB), firing(VOTING), watchdog)
        for service in ("web<!channel>", "voting"):
            post = await hooks.until(_on("/own", service))
            assert post.headers["authorization"] == f"Bearer {SECRETS['own']}"
            told = read(json.dumps(post.body).encode())
            assert isinstance(told, Telling)
            (alert,) = told.alerts
            assert (alert.status, alert.labels["service"]) == (Status.FIRING, service)
        await hooks.until(_on("/own", "Watchdog"))
        await here.arrive("CheckoutTooSlow", resolved=False)
        assert not [post for post in hooks.posts if post.path != "/own" and "Watchdog" in json.dumps(post.body)]
        assert not [mail for mail in here.mails.mails if "Watchdog" in mail.subject]


def _body(message: Post | Mail) -> JsonObject:
    assert isinstance(message, Post)
    return message.body


def _header(message: Post | Mail, name: str) -> str:
    assert isinstance(message, Post)
    return message.headers[name]


def _shown(message: Post | Mail) -> str:
    """The message as somebody sees it."""
    if isinstance(message, Mail):
        head = f"From: {message.sender}\nTo: {', '.join(message.to)}\nSubject: {message.subject}\n"
        return f"{head}\n{message.text}\n{'-' * 100}\n{message.html}\n"
    show = {"/slack": _slack, "/pager": _pager, "/teams": _teams, "/hook": _hook}[message.path]
    return show(message.body)


def _slack(body: JsonObject) -> str:
    (attachment,) = rows(body, "attachments")
    return _listed(body, ("channel", "username")) + _listed(attachment, ("color", "title", "fallback", "text"))


def _pager(body: JsonObject) -> str:
    payload = ("summary", "source", "severity", "class", "component", "group")
    details = table(body, "payload", "custom_details")
    return (
        _listed(body, ("event_action", "client"))
        + _listed(table(body, "payload"), payload)
        + _listed(details, sorted(details))
    )


def _teams(body: JsonObject) -> str:
    card = rows(body, "attachments")[0]
    return "".join(f"{text(block, 'color')}\n{text(block, 'text')}\n" for block in rows(card, "content", "body"))


def _hook(body: JsonObject) -> str:
    shown = {name: dig(body, name) for name in ("version", "status", "receiver", "groupLabels", "alerts")}
    return json.dumps(shown, indent=1, sort_keys=True, ensure_ascii=False)


def _listed(found: Mapping[str, Json], names: Sequence[str]) -> str:
    return "".join(f"{name}: {found.get(name)}\n" for name in names)
