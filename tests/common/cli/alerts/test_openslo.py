"""`alerts openslo`, and what the shell is offered."""

import json
import socket
from pathlib import Path

import pytest
import yaml

from steward.jsonvalue import JsonObject, rows, text
from steward.kube.resources import ALERT_POLICIES, NAMESPACES
from steward.resources.base import API_VERSION
from steward.testing.command import Command, StewardCluster

SPEC: JsonObject = {
    "targets": [{"kind": "Service", "name": "web"}],
    "objectives": [
        {"name": "success", "successPercent": 99.9, "windowSeconds": 2_592_000},
        {"name": "fast", "latency": {"withinMilliseconds": 500, "percent": 99.0}, "windowSeconds": 2_592_000},
    ],
    "team": "checkout",
}
POLICY: JsonObject = {
    "apiVersion": API_VERSION,
    "kind": "AlertPolicy",
    "metadata": {"name": "web", "namespace": "shop"},
    "spec": SPEC,
}
FOREIGN = """
apiVersion: openslo/v1
kind: SLO
metadata: {name: web}
spec:
  service: web
  indicator:
    metadata: {name: x}
    spec: {thresholdMetric: {metricSource: {type: Datadog, spec: {query: x}}}}
  budgetingMethod: Occurrences
  timeWindow: [{duration: 30d, isRolling: true}]
  objectives: [{target: 0.99}]
"""


@pytest.fixture
async def shop(cluster: StewardCluster) -> StewardCluster:
    await cluster.kube.create(NAMESPACES, {"metadata": {"name": "shop"}})
    return cluster


@pytest.fixture
def foreign(cli: Command) -> Path:
    """A file with an SLO about somebody else's metrics."""
    path = cli.home / "foreign.yaml"
    path.write_text(FOREIGN)
    return path


def keep(path: Path, content: str) -> str:
    path.write_text(content)
    return str(path)


async def test_objectives_go_to_openslo_and_come_back(cli: Command, shop: StewardCluster) -> None:
    await shop.put(POLICY)
    exported = await cli("alerts", "openslo", "export", "web", "-n", "shop")
    assert exported.code == 0, exported.err
    kinds = [text(each, "kind") for each in yaml.safe_load_all(exported.out)]
    assert kinds.count("SLO") == 2
    path = keep(cli.home / "slo.yaml", exported.out)
    printed = await cli("alerts", "openslo", "import", "-f", path, "-n", "shop", "-o", "json", "--strict")
    assert printed.code == 0, printed.err
    (policy,) = rows(json.loads(printed.out), "items")
    assert policy == POLICY
    checked = await cli("alerts", "check", "-f", path)
    assert checked.code == 0, checked.out
    await shop.kube.delete(ALERT_POLICIES, "web", "shop")
    applied = await cli("alerts", "openslo", "import", "-f", path, "-n", "shop", "--apply")
    assert applied.code == 0, applied.err
    assert "AlertPolicy 'shop/web' is applied" in applied.err
    (stored,) = shop.fake.cluster.list(ALERT_POLICIES)
    assert text(stored, "spec", "objectives", 1, "name") == "fast"


async def test_what_has_no_place_here_is_named_and_refused(cli: Command, foreign: Path) -> None:
    answer = await cli("alerts", "openslo", "import", "-f", str(foreign))
    assert answer.code == 1
    assert "not carried over: SLO/web: spec.objectives: they need a target of the mesh" in answer.err
    assert "no objective can be carried over" in answer.err
    assert answer.out == ""
    checked = await cli("alerts", "check", "-f", str(foreign), COLUMNS="200")
    assert checked.code == 1
    assert "NotCarriedOver: spec.objectives" in checked.out


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("import",), 2, "there is nothing to read"),
        (("import", "-f", "ours.yaml"), 2, "hold no document of openslo/v1"),
        (("export", "nosuch", "-n", "shop", "-f", "ours.yaml"), 3, "there is no AlertPolicy 'shop/nosuch'"),
    ],
)
async def test_what_cannot_be_meant_is_refused(cli: Command, arguments: tuple[str, ...], code: int, said: str) -> None:
    keep(cli.home / "ours.yaml", json.dumps(POLICY))
    answer = await cli("alerts", "openslo", *arguments)
    assert answer.code == code, answer.err
    assert said in answer.err
    assert "hint: " in answer.err


async def test_the_shell_is_offered_alerts_channels_and_policies(cli: Command, shop: StewardCluster) -> None:
    await shop.put(POLICY)

    async def offered(words: str) -> list[str]:
        count = str(len(words.split(" ")) - 1)
        answer = await cli(_LINKERD_STEWARD_COMPLETE="complete_bash", COMP_WORDS=words, COMP_CWORD=count)
        assert answer.err == ""
        return answer.out.split()

    assert "LinkerdInjectorSlow" in await offered("linkerd-steward alerts runbook LinkerdInjectorS")
    assert await offered("linkerd-steward alerts openslo export -n shop w") == ["web"]
    assert await offered("linkerd-steward alerts test nosuch") == []
    assert await offered("linkerd-steward alerts pol") == ["policies", "policy"]


async def test_a_cluster_that_is_away_offers_nothing_and_says_nothing(cli: Command) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        path = cli.home / "config"
        server = f"http://127.0.0.1:{silent.getsockname()[1]}"
        keep(
            path,
            f"{{current-context: c, clusters: [{{name: c, cluster: {{server: '{server}'}}}}], users: [], "
            "contexts: [{name: c, context: {cluster: c, user: c}}]}",
        )
        answer = await cli(
            KUBECONFIG=str(path),
            _LINKERD_STEWARD_COMPLETE="complete_bash",
            COMP_WORDS="linkerd-steward alerts test m",
            COMP_CWORD="3",
        )
    assert (answer.code, answer.out.strip(), answer.err) == (0, "", "")
