"""Our objects on a real API server with the real definitions, and what the real prometheus-operator makes of them.

Its StatefulSets come up only in name: no Prometheus and no Alertmanager runs here. What they would load is read from
where the operator puts it, and given to promtool and amtool.
"""

import asyncio
import base64
import gzip
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import yaml

from services.alerting.core.channel_units import as_objects as channels_as_objects
from services.alerting.core.channel_units import own_content
from services.alerting.core.loaded import routes_loaded, rules_loaded
from services.alerting.core.operator_documents import Belonging, expected, objects_of, rule_objects
from services.alerting.edges.operator_kinds import ALERTMANAGER_CONFIGS, PROMETHEUS_RULES
from services.alerting.edges.operator_objects import OperatorObjects
from steward.alerting.channels.target import OwnWebhook, Target
from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.pack import inhibitions, shipped_pack
from steward.alerting.rendering import render
from steward.alerting.rules import Group, Recording
from steward.jsonvalue import Json, JsonObject, rows, table, text, texts
from steward.kube.client import Kube
from steward.kube.resources import ALERT_CHANNELS, CONFIG_MAPS, CRDS, NAMESPACES, SECRETS, Resource
from steward.resources.alert_channel import AlertChannel, SecretRef
from steward.resources.definitions import definition
from steward.testing.cluster.control_plane import Cluster
from steward.testing.monitoring.operator import KINDS as OPERATORS_KINDS
from steward.testing.monitoring.operator import operator, operator_definitions
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.nats import free_ports
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.toolbox import GoMissing
from tests.common.alerting.channels.specimens import CURRENT, HOME, OBJECTS, channel

pytestmark = pytest.mark.asyncio(loop_scope="module")
LABELS = {"release": "kube-prometheus"}
SHOP = "shop"
_PROMETHEUS = Resource("monitoring.coreos.com", "v1", "prometheuses", "Prometheus")
_ALERTMANAGER = Resource("monitoring.coreos.com", "v1", "alertmanagers", "Alertmanager")
_PATIENCE = 120
TARGET = Target(
    HOME,
    CURRENT,
    own=OwnWebhook("http://alerting.linkerd-steward:9465/alertmanager", token=SecretRef(name="slack", key="token")),
    inhibitions=inhibitions(),
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def kube(scenario_cluster: Cluster) -> AsyncIterator[Kube]:
    """A cluster with the operator's definitions, two namespaces, and every Secret that the channels name."""
    definitions = operator_definitions(ToolboxSettings.from_environment(), *OPERATORS_KINDS)
    async with await Kube.connect(kubeconfig=scenario_cluster.kubeconfig) as connected:
        for each in (*definitions, definition(AlertChannel)):
            await connected.apply(CRDS, each, manager="test", force=True)
        for name in (HOME, SHOP):
            await connected.apply(NAMESPACES, {"metadata": {"name": name}}, manager="test")
            for secret in ("smtp", "slack", "pager", "hook", "teams"):
                data = dict.fromkeys(("password", "url", "token", "routing-key"), "https://hooks.acme.org/secret")
                body: JsonObject = {"metadata": {"name": secret, "namespace": name}, "stringData": {**data}}
                await connected.apply(SECRETS, body, manager="test")
        async with asyncio.timeout(_PATIENCE):
            for resource in (ALERTMANAGER_CONFIGS, PROMETHEUS_RULES, ALERT_CHANNELS, _PROMETHEUS, _ALERTMANAGER):
                while not await connected.serves(resource):
                    pass
        yield connected


@pytest.fixture(scope="module")
def at_work(kube: Kube, scenario_cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """The operator itself. A kind that is not there when it starts it leaves alone for ever."""
    assert kube.address
    settings = ToolboxSettings.from_environment()
    try:
        program = operator(settings)
    except GoMissing as missing:
        if settings.ci:
            raise
        pytest.skip(str(missing))
    (port,) = free_ports(1)
    log = tmp_path_factory.mktemp("operator") / "log"
    environment = settings.child_environment(KUBECONFIG=str(scenario_cluster.kubeconfig))
    with (
        log.open("w") as output,
        subprocess.Popen(
            [str(program), f"--web.listen-address=127.0.0.1:{port}", "--kubelet-endpoints=false"],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        yield
        process.terminate()


def rules() -> dict[str, str]:
    """The pack for the control plane, and a policy whose rules need several objects."""
    monitoring = Monitoring(ScrapeProfile(ScrapeKind.POD_MONITOR))
    pack = render(shipped_pack(), monitoring).groups
    long = "sum(requests) " + "+ sum(requests) " * 600
    many = [Group(f"shop/{number}", (Recording("shop:sum", long),)) for number in range(100)]
    return {
        f"{HOME}.linkerd.yaml": rule_objects(HOME, "linkerd", pack, Belonging(f"{HOME}.linkerd.yaml", LABELS)),
        f"{SHOP}.many.yaml": rule_objects(SHOP, "many", many, Belonging(f"{SHOP}.many.yaml", LABELS)),
    }


async def routes(kube: Kube) -> dict[str, str]:
    """Channels of every kind that objects can say, with and without quiet times, and Steward's own."""
    channels = [channel(SHOP, kind, **OBJECTS[kind]) for kind in OBJECTS]
    channels.append(channel(HOME, "quiet", **OBJECTS["hook"], quiet=[{"begins": "22:00", "ends": "06:00"}]))
    write = channels_as_objects(LABELS)
    units = [write(await _made(kube, each), TARGET) for each in channels]
    own = own_content(TARGET, LABELS)
    assert own is not None
    return {f"{HOME}._own": own, **{each.name: each.content for each in units if each.content is not None}}


async def _made(kube: Kube, found: AlertChannel) -> AlertChannel:
    """With the uid that an owner must have: what belongs to nobody the API server collects."""
    metadata: JsonObject = {"name": found.metadata.name, "namespace": found.metadata.namespace}
    body: JsonObject = {"metadata": metadata, "spec": found.spec.to_json()}
    return AlertChannel.of(await kube.apply(ALERT_CHANNELS, body, manager="test"))


@pytest.mark.parametrize("resource", [PROMETHEUS_RULES, ALERTMANAGER_CONFIGS], ids=lambda each: each.kind)
async def test_a_real_api_server_takes_every_object_and_gives_it_back_word_for_word(
    kube: Kube, resource: Resource
) -> None:
    wanted = rules() if resource is PROMETHEUS_RULES else await routes(kube)
    carrier = OperatorObjects(kube, resource)
    assert await carrier.show(wanted) is None
    assert dict(await carrier.good()) == wanted
    fewer = dict(list(wanted.items())[1:])
    assert await carrier.show(fewer) is None
    assert dict(await carrier.good()) == fewer
    assert await carrier.clear() == sum(len(objects_of(each)) for each in fewer.values())


async def test_what_the_schema_does_not_take_is_a_refusal_that_names_the_object(kube: Kube) -> None:
    broken = rule_objects(SHOP, "broken", [Group("", (Recording("a", "b"),))], Belonging(f"{SHOP}.broken.yaml", LABELS))
    said = await OperatorObjects(kube, PROMETHEUS_RULES).show({f"{SHOP}.broken.yaml": broken})
    assert said is not None
    assert "PrometheusRule shop/linkerd-steward-broken" in said
    assert "spec.groups" in said


@pytest.mark.usefixtures("at_work")
async def test_what_the_operator_makes_of_them_promtool_and_amtool_take_and_our_marks_are_in_it(
    kube: Kube, monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    every: JsonObject = {}
    selector: JsonObject = {"matchLabels": dict(LABELS)}
    prometheus: JsonObject = {"ruleSelector": selector, "ruleNamespaceSelector": every, "replicas": 1}
    alertmanager: JsonObject = {
        "alertmanagerConfigSelector": selector,
        "alertmanagerConfigNamespaceSelector": every,
        "alertmanagerConfigMatcherStrategy": {"type": "None"},
        "replicas": 1,
        "version": "v0.28.1",
    }
    for resource, spec in ((_PROMETHEUS, prometheus), (_ALERTMANAGER, alertmanager)):
        await kube.apply(resource, {"metadata": {"name": "main", "namespace": HOME}, "spec": spec}, manager="test")
    wanted_rules, wanted_routes = rules(), await routes(kube)
    assert await OperatorObjects(kube, PROMETHEUS_RULES).show(wanted_rules) is None
    assert await OperatorObjects(kube, ALERTMANAGER_CONFIGS).show(wanted_routes) is None

    files = await _rule_files(kube, count=sum(len(objects_of(each)) for each in wanted_rules.values()))
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        _checked([str(monitoring_tools.promtool), "check", "rules", str(tmp_path / name)])
    groups = [_told(name, each) for name, content in files.items() for each in rows(yaml.safe_load(content), "groups")]
    loaded = rules_loaded(groups)
    assert all(loaded.has(expected(each)) for each in wanted_rules.values())
    assert all(name.startswith(mark.partition("/")[0]) for mark, name in loaded.files.items())

    configuration = await _configuration(kube, wanted_routes)
    (tmp_path / "alertmanager.yml").write_text(configuration)
    _checked([str(monitoring_tools.amtool), "check-config", str(tmp_path / "alertmanager.yml")])
    assert routes_loaded(configuration).narrowed == ""


def _told(file: str, group: JsonObject) -> JsonObject:
    """A group as Prometheus tells it: the name of a rule is `name`, whatever kind it is."""
    members: list[Json] = [
        {"name": text(each, "record") or text(each, "alert"), "labels": table(each, "labels")}
        for each in rows(group, "rules")
    ]
    return {"name": text(group, "name"), "file": f"/etc/prometheus/rules/{file}", "rules": members}


async def _rule_files(kube: Kube, count: int) -> dict[str, str]:
    async with asyncio.timeout(_PATIENCE):
        while True:
            found: dict[str, str] = {}
            for each in (await kube.list(CONFIG_MAPS, HOME)).items:
                if text(each, "metadata", "name").startswith("prometheus-main-rulefiles-"):
                    found |= texts(each, "data")
            if len(found) >= count:
                return found


async def _configuration(kube: Kube, wanted: dict[str, str]) -> str:
    """As the operator generated it, once it has all of it."""
    generated = ""
    try:
        async with asyncio.timeout(_PATIENCE):
            while True:
                secret = await kube.find(SECRETS, "alertmanager-main-generated", HOME) or {}
                packed = text(secret, "data", "alertmanager.yaml.gz")
                generated = gzip.decompress(base64.b64decode(packed)).decode() if packed else ""
                loaded = routes_loaded(generated)
                if all(loaded.has(expected(each)) for each in wanted.values()):
                    return generated
    except TimeoutError:
        lacking = [name for name, each in wanted.items() if not routes_loaded(generated).has(expected(each))]
        raise AssertionError(f"{lacking} are not in what the operator made: {generated}") from None


def _checked(argv: list[str]) -> None:
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
