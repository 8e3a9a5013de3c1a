"""What fires in Prometheus reaches people through Alertmanager, and so does its end."""

import json
import ssl
from pathlib import Path

import pytest

from steward.clock import SystemClock
from steward.jsonvalue import Json, JsonObject, rows, text
from steward.testing.cluster.pki import Authority, Validity
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.mail import MailRules, SmtpSink
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions, StaticJob
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.webhooks import Reply, WebhookSink

pytestmark = pytest.mark.monitoring


def _configuration(receiver: JsonObject, interval: str = "1s") -> str:
    route: JsonObject = {
        "receiver": "people",
        "group_wait": "0s",
        "group_interval": interval,
        "group_by": ["alertname"],
    }
    receivers: list[Json] = [{"name": "people", **receiver}]
    return json.dumps({"route": route, "receivers": receivers})


def _email(sink: SmtpSink, **more: Json) -> JsonObject:
    return {
        "to": "on-call@example.org",
        "from": "steward@example.org",
        "smarthost": sink.address,
        "hello": "localhost",
        "require_tls": False,
        "send_resolved": True,
        "headers": {"Subject": "{{ .Status }}: {{ .CommonLabels.alertname }}"},
        **more,
    }


async def test_an_alert_and_its_end_reach_webhook_and_mailbox(
    each_monitoring_tools: MonitoringTools, tmp_path: Path, webhook_sink: WebhookSink, smtp_sink: SmtpSink
) -> None:
    rule: JsonObject = {
        "alert": "TargetDown",
        "expr": "up == 0",
        "annotations": {"summary": "{{ $labels.job }} is down"},
    }
    groups: list[Json] = [{"name": "mesh", "rules": [rule]}]
    (tmp_path / "mesh.yaml").write_text(json.dumps({"groups": groups}))
    webhook: JsonObject = {"url": f"{webhook_sink.url}/pages", "send_resolved": True}
    receiver: JsonObject = {"webhook_configs": [webhook], "email_configs": [_email(smtp_sink)]}
    down = StaticJob("proxy", ("127.0.0.1:1",))

    async with Alertmanager(each_monitoring_tools, _configuration(receiver)) as alertmanager:
        options = PrometheusOptions(jobs=(down,), rules=tmp_path, alertmanagers=(alertmanager.url,))
        async with Prometheus(each_monitoring_tools, options) as prometheus:
            firing = await webhook_sink.until(lambda post: text(post.body, "status") == "firing")
            assert (await smtp_sink.until(lambda mail: mail.subject == "firing: TargetDown")).to == (
                "on-call@example.org",
            )

            prometheus.configure(
                PrometheusOptions(
                    jobs=(StaticJob("proxy", (prometheus.address,)),), rules=tmp_path, alertmanagers=(alertmanager.url,)
                )
            )
            await prometheus.reload()
            resolved = await webhook_sink.until(lambda post: text(post.body, "status") == "resolved")
            mail = await smtp_sink.until(lambda mail: mail.subject == "resolved: TargetDown")

    (alert,) = rows(firing.body, "alerts")
    assert firing.path == "/pages"
    assert text(alert, "labels", "job") == "proxy"
    assert text(alert, "annotations", "summary") == "proxy is down"
    assert text(resolved.body, "groupKey") == text(firing.body, "groupKey")
    assert "Resolved" in mail.body


async def test_a_receiver_that_was_out_of_order_gets_the_notification_in_the_end(
    each_monitoring_tools: MonitoringTools, webhook_sink: WebhookSink
) -> None:
    webhook_sink.answer(Reply(503, "back soon"), times=2)
    receiver: JsonObject = {"webhook_configs": [{"url": webhook_sink.url}]}

    async with Alertmanager(each_monitoring_tools, _configuration(receiver, "5m")) as alertmanager:
        await alertmanager.fire({"alertname": "ProxyDown"})
        await webhook_sink.until(lambda post: post.status == 200)

    assert [post.status for post in webhook_sink.posts] == [503, 503, 200]


async def test_slack_takes_what_it_is_given(each_monitoring_tools: MonitoringTools, webhook_sink: WebhookSink) -> None:
    slack: JsonObject = {"api_url": f"{webhook_sink.url}/services/T0/B0/x", "channel": "#mesh", "title": "it broke"}

    async with Alertmanager(each_monitoring_tools, _configuration({"slack_configs": [slack]})) as alertmanager:
        await alertmanager.fire({"alertname": "ProxyDown"})
        post = await webhook_sink.until(lambda post: post.path == "/services/T0/B0/x")
        await alertmanager.stop()

        assert text(post.body, "channel") == "#mesh"
        assert text(rows(post.body, "attachments")[0], "title") == "it broke"
        assert "Notify for alerts failed" not in alertmanager.log


async def test_pagerduty_takes_what_it_is_given(
    each_monitoring_tools: MonitoringTools, webhook_sink: WebhookSink
) -> None:
    webhook_sink.always(Reply.of({"status": "success"}, 202))
    pagerduty: JsonObject = {"url": f"{webhook_sink.url}/v2/enqueue", "routing_key": "key", "severity": "critical"}

    async with Alertmanager(each_monitoring_tools, _configuration({"pagerduty_configs": [pagerduty]})) as alertmanager:
        await alertmanager.fire({"alertname": "ProxyDown"})
        opened = await webhook_sink.until(lambda post: text(post.body, "event_action") == "trigger")
        await alertmanager.resolve({"alertname": "ProxyDown"}, SystemClock().now())
        closed = await webhook_sink.until(lambda post: text(post.body, "event_action") == "resolve")

    assert opened.path == "/v2/enqueue"
    assert text(opened.body, "payload", "severity") == "critical"
    assert text(opened.body, "dedup_key") == text(closed.body, "dedup_key")


async def test_teams_takes_what_the_current_alertmanager_gives_it(
    monitoring_tools: MonitoringTools, webhook_sink: WebhookSink
) -> None:
    webhook_sink.always(Reply(202, ""))
    teams: JsonObject = {"webhook_url": f"{webhook_sink.url}/workflows/w", "title": "it broke"}

    async with Alertmanager(monitoring_tools, _configuration({"msteamsv2_configs": [teams]})) as alertmanager:
        await alertmanager.fire({"alertname": "ProxyDown"})
        post = await webhook_sink.until(lambda post: post.path == "/workflows/w")

    assert text(rows(post.body, "attachments")[0], "contentType") == "application/vnd.microsoft.card.adaptive"


async def test_mail_goes_encrypted_and_with_a_password_where_they_are_asked_for(
    each_monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    validity = Validity.around(SystemClock().now())
    authority = Authority.create("mail", validity)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.server("127.0.0.1", validity).write(tmp_path, "mail"))
    (tmp_path / "ca.crt").write_text(authority.pair.certificate)
    login = MailRules(tls, "steward", "right")
    trust: JsonObject = {"ca_file": str(tmp_path / "ca.crt")}

    async with SmtpSink(login) as sink:
        email = _email(sink, require_tls=True, auth_username="steward", auth_password="right", tls_config=trust)
        receiver: JsonObject = {"email_configs": [email]}
        async with Alertmanager(each_monitoring_tools, _configuration(receiver)) as alertmanager:
            await alertmanager.fire({"alertname": "ProxyDown"})
            mail = await sink.until(lambda mail: mail.subject == "firing: ProxyDown")

    assert mail.encrypted
    assert mail.user == "steward"
