"""`alerts check`, `render`, `route -f`, `pack` and `explain --offline`: everything that needs no cluster."""

import json
from datetime import timedelta
from pathlib import Path

import pytest
import yaml

from steward.alerting.channels.target import Target
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.cli.alerts.documents import Document
from steward.cli.alerts.judged import Finding, judged, whereabouts
from steward.cli.alerts.target import NEWEST
from steward.jsonvalue import dig, rows, strings, table, text
from steward.testing.command import Command
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Amtool, Promtool

HOME = "linkerd-steward"
WEB = """
apiVersion: steward.linkerd.io/v1alpha1
kind: AlertPolicy
metadata: {name: web, namespace: shop}
spec:
  targets: [{kind: Service, name: web}]
  objectives: [{name: success, successPercent: 99.9}]
"""
CONTROL_PLANE = """
apiVersion: steward.linkerd.io/v1alpha1
kind: AlertPolicy
metadata: {name: control-plane, namespace: linkerd-steward}
spec: {controlPlane: {}}
"""
PAGE = """
apiVersion: steward.linkerd.io/v1alpha1
kind: AlertChannel
metadata: {name: page, namespace: linkerd-steward}
spec: {pagerDuty: {routingKey: {name: pager, key: key}}, match: {severities: [critical]}}
"""
MAIL = """
apiVersion: steward.linkerd.io/v1alpha1
kind: AlertChannel
metadata: {name: mail, namespace: shop}
spec: {email: {to: [a@acme.org], sender: b@acme.org, smarthost: "smtp:25"}, match: {teams: [checkout]}}
"""
NO_CLUSTER = {"KUBECONFIG": "/nonexistent"}


@pytest.fixture
def folder(cli: Command) -> Path:
    """A folder with a whole set of files."""
    folder = cli.home / "alerting"
    folder.mkdir()
    (folder / "policies.yaml").write_text("---".join((WEB, CONTROL_PLANE)))
    (folder / "channels.yml").write_text("---".join((PAGE, MAIL)))
    return folder


async def test_files_that_are_good_are_said_to_be(cli: Command, folder: Path) -> None:
    answer = await cli("alerts", "check", "-f", str(folder), **NO_CLUSTER)
    assert answer.code == 0, answer.out + answer.err
    assert "4 objects, 0 refused" in answer.out
    assert "Assumed: Service 'web' is not in these files" in answer.out


TEAMS = """
apiVersion: steward.linkerd.io/v1alpha1
kind: AlertChannel
metadata: {name: teams, namespace: shop}
spec: {teams: {webhook: {name: teams, key: url}}}
"""
NO_TARGETS = WEB.replace("targets: [{kind: Service, name: web}]", "")
SLOW = WEB.replace("successPercent: 99.9", "latency: {withinMilliseconds: 70}")
TWO_WAYS = MAIL.replace("email:", "slack: {webhook: {name: a, key: b}}, email:")
UNKNOWN_ALERT = CONTROL_PLANE.replace("{controlPlane: {}}", "{controlPlane: {exclude: [Nonsense]}}")


def judge(document: str) -> list[Finding]:
    documents = [
        Document("one.yaml", number, content) for number, content in enumerate(yaml.safe_load_all(document), start=1)
    ]
    around = whereabouts(Monitoring(ScrapeProfile(ScrapeKind.STEWARD), retention=timedelta(days=15)), HOME)
    return [each for one in judged(documents, around, Target(HOME, NEWEST)) for each in one.findings if each.refused]


@pytest.mark.parametrize(
    ("document", "reason", "said"),
    [
        (WEB.replace("objectives", "objectifs"), "UnknownField", "did you mean objectives?"),
        (WEB.replace("99.9", "100"), "Invalid", "less than or equal to 99.999"),
        (WEB.replace("name: web, ", ""), "NoName", "give metadata.name"),
        (WEB.replace("v1alpha1", "v1"), "UnknownVersion", "write steward.linkerd.io/v1alpha1"),
        (WEB.replace("AlertPolicy", "Alertpolicy"), "UnknownKind", "check reads AlertPolicy"),
        (NO_TARGETS, "NoTargets", "spec.targets"),
        (WEB.replace("kind: Service", "kind: HTTPRoute"), "NoSuchTarget", "there is no HTTPRoute 'web'"),
        (SLOW, "NotABucketBound", "50 ms"),
        (WEB.replace("successPercent: 99.9", ""), "ObjectiveUnclear", "exactly one of successPercent and latency"),
        (WEB.partition("spec:")[0] + "spec: {}", "Empty", "the policy says nothing"),
        (CONTROL_PLANE.replace(HOME, "shop"), "NotHere", f"namespace '{HOME}'"),
        (UNKNOWN_ALERT, "UnknownAlert", "called Nonsense"),
        (MAIL.replace("teams: [checkout]", "namespaces: [pay]"), "ForeignNamespace", "shop only"),
        (MAIL.replace("smtp:25", "smtp"), "Invalid", "smarthost"),
        (f"{MAIL}---{MAIL}", "Twice", "keep one"),
        (TWO_WAYS, "NotOneDestination", "exactly one of"),
    ],
)
def test_what_would_be_refused_is_named_with_reason_and_remedy(document: str, reason: str, said: str) -> None:
    findings = judge(document)
    assert reason in [each.reason for each in findings]
    assert said in " ".join(f"{each.message} {each.remedy}" for each in findings)


async def test_a_refusal_ends_the_check_with_1(cli: Command) -> None:
    path = cli.home / "one.yaml"
    path.write_text(SLOW)
    answer = await cli("alerts", "check", "-f", str(path), "-o", "json", **NO_CLUSTER)
    assert (answer.code, answer.err) == (1, "")
    finding = rows(json.loads(answer.out), "items", 0, "findings")[0]
    assert (text(finding, "reason"), dig(finding, "refused")) == ("NotABucketBound", True)


async def test_an_older_target_refuses_more(cli: Command, folder: Path) -> None:
    (folder / "team.yaml").write_text(TEAMS)
    newest = await cli("alerts", "check", "-f", str(folder))
    assert newest.code == 0, newest.out
    older = await cli("alerts", "check", "-f", str(folder), "--alertmanager-version", "0.25", "--linkerd", "2.16")
    assert older.code == 1
    assert "NoTeams" in older.out
    assert "LinkerdPolicyErrors (critical) is left out" in older.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("check",), 2, "there is nothing to check"),
        (("check", "-f", "nosuch.yaml"), 2, "'nosuch.yaml' cannot be read"),
        (("check", "-f", "broken.yaml"), 1, "'broken.yaml' is no YAML"),
        (("check", "-f", "list.yaml"), 1, "holds something that is no object"),
        (("check", "-f", "empty"), 2, "holds no file with .yaml"),
        (("check", "-f", "service.yaml"), 2, "hold no object of alerting"),
        (("check", "-f", "page.yaml", "--linkerd", "2.99"), 2, "'2.99' is no version of Linkerd"),
        (("check", "-f", "page.yaml", "--alertmanager-version", "new"), 2, "'new' is no version"),
        (("check", "-f", "page.yaml", "--retention", "long"), 2, "--retention 'long'"),
        (("route", "-f", "service.yaml", "severity=critical"), 2, "no AlertChannel is in service.yaml"),
        (("route", "-f", "page.yaml", "critical"), 2, "'critical' is no label"),
        (("route", "-f", "page.yaml", "a=1", "a=2"), 2, "label 'a' has two values"),
        (("route", "-f", "misfit.yaml", "severity=critical"), 1, "misfit.yaml #1: AlertChannel/linkerd-steward/page"),
        (("pack", "--alert", "Nonsense"), 3, "the pack has no alert 'Nonsense'"),
        (("explain", "Injector", "--offline"), 3, "did you mean LinkerdInjector"),
        (("explain", "0123456789abcdef", "--offline"), 3, "no alert with fingerprint '0123456789abcdef' fires"),
    ],
)
async def test_what_cannot_be_read_is_refused_in_words(
    cli: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    (cli.home / "empty").mkdir()
    files = {
        "broken.yaml": "a: [",
        "list.yaml": "- a\n- b\n",
        "service.yaml": "{apiVersion: v1, kind: Service, metadata: {name: web}}",
        "page.yaml": PAGE,
        "misfit.yaml": PAGE.replace("severities: [critical]", "severities: [loud]"),
    }
    for name, content in files.items():
        (cli.home / name).write_text(content)
    answer = await cli("alerts", *arguments, **NO_CLUSTER)
    assert answer.code == code, answer.out + answer.err
    assert said in answer.err
    assert "hint: " in answer.err
    assert "Traceback" not in answer.err


async def test_routes_of_files_say_who_is_told_and_who_not_and_why(cli: Command, folder: Path) -> None:
    told = await cli("alerts", "route", "-f", str(folder), "severity=critical", "namespace=shop", **NO_CLUSTER)
    assert told.code == 0, told.err
    assert "told: linkerd-steward/page" in told.out
    assert 'asks for team="checkout", and it has no label team' in " ".join(told.out.split())
    nobody = await cli(
        "alerts", "route", "-f", str(folder), "severity=info", "namespace=pay", "-o", "json", **NO_CLUSTER
    )
    assert nobody.code == 1
    document = json.loads(nobody.out)
    assert strings(document, "notified") == []
    assert {text(each, "condition") for each in rows(document, "notTold")} == {
        'severity="critical"',
        'namespace="shop"',
    }


@pytest.mark.monitoring
async def test_what_is_rendered_from_files_is_what_the_tools_take(
    cli: Command, folder: Path, monitoring_tools: MonitoringTools
) -> None:
    out = cli.home / "out"
    answer = await cli("alerts", "render", "-f", str(folder), "--to", str(out), "--scrape", "PodMonitor", **NO_CLUSTER)
    assert answer.code == 0, answer.err
    assert sorted(each.name for each in out.iterdir()) == [
        "alertmanager.yml",
        "linkerd-steward.control-plane.yaml",
        "shop.web.yaml",
    ]
    for rules in ("linkerd-steward.control-plane.yaml", "shop.web.yaml"):
        verdict = await Promtool(monitoring_tools).check_rules((out / rules).read_text())
        assert verdict.ok, verdict.output
    verdict = await Amtool(monitoring_tools).check_config((out / "alertmanager.yml").read_text())
    assert verdict.ok, verdict.output
    printed = await cli("alerts", "render", "-f", str(folder), "-o", "json", **NO_CLUSTER)
    document = json.loads(printed.out)
    assert text(document, "secretFiles", 0, "secret") == "linkerd-steward/pager"
    assert text(document, "secretFiles", 0, "path").endswith("+pager+key.secret")
    as_text = await cli("alerts", "render", "-f", str(folder), **NO_CLUSTER)
    documents = list(yaml.safe_load_all(as_text.out))
    assert [next(iter(each)) for each in documents] == ["groups", "groups", "route"]


async def test_what_is_refused_is_left_out_of_what_is_rendered_and_named(cli: Command) -> None:
    path = cli.home / "one.yaml"
    path.write_text(WEB.replace("kind: Service", "kind: HTTPRoute"))
    answer = await cli("alerts", "render", "-f", str(path), "-o", "json", **NO_CLUSTER)
    assert answer.code == 1
    assert "refused: AlertPolicy shop/web: HTTPRoute/web: there is no HTTPRoute 'web'" in answer.err
    assert rows(json.loads(answer.out), "rules") == []


async def test_the_pack_needs_no_cluster(cli: Command) -> None:
    answer = await cli("alerts", "pack", "-o", "json", **NO_CLUSTER)
    assert answer.code == 0, answer.err
    rules = rows(json.loads(answer.out), "items")
    assert len({text(each, "name") for each in rules}) > 34
    for each in rules:
        assert text(each, "severity") in ("critical", "warning", "info", "none")
        assert text(each, "expression")
        assert text(each, "runbook")
        assert set(table(each, "versions")) == {"since", "until"}
    renewal = next(each for each in rules if text(each, "name") == "LinkerdProxyCertificateNotRenewing")
    assert strings(renewal, "metrics")
    older = await cli("alerts", "pack", "--linkerd", "2.16", COLUMNS="200", **NO_CLUSTER)
    assert "LinkerdProxyCertificateNotRenewing" in older.out
    assert "LinkerdPolicyErrors (critical) is left out" in older.err


async def test_an_alert_of_the_pack_is_explained_offline(cli: Command) -> None:
    answer = await cli("alerts", "explain", "LinkerdInjectorFailingOpen", "--offline", **NO_CLUSTER)
    assert answer.code == 0, answer.err
    for said in ("Pods start outside of the mesh", "apiserver_admission_webhook_fail_open_count", "alerts runbook"):
        assert said in answer.out


async def test_what_nobody_could_ask_is_not_called_quiet(cli: Command) -> None:
    answer = await cli("alerts", "explain", "LinkerdInjectorFailingOpen", **NO_CLUSTER)
    assert "not everything is known" in answer.err
    assert "does not fire" not in answer.out
