"""The service beside what the prometheus-operator would make of its objects.

The stand-in does the operator's part for Prometheus: rule files named as the operator names them, and a reload. For
Alertmanager it makes the names only, of receivers and mute times: what the operator itself makes of an
AlertmanagerConfig is looked at in `tests/cluster/test_prometheus_operator.py`.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

from services.alerting.core.delivery import Delivery
from services.alerting.edges.operator_kinds import ALERTMANAGER_CONFIGS, PROMETHEUS_RULES
from services.alerting.settings import AlertingGroup, FilesSettings, OperatorSettings
from steward.jsonvalue import Json, JsonObject, rows, table, text, texts
from steward.kube.resources import CRDS
from steward.testing.kubernetes.faults import WriteMoment
from steward.yamlvalue import render_yaml
from tests.services.alerting.running import World

LABELS = {"release": "kube-prometheus"}


def by_operator(world: World, identity: str = "first", labels: dict[str, str] | None = None) -> AlertingGroup:
    """Settings for delivery by objects, quick about everything."""
    group = world.group()
    given = LABELS if labels is None else labels
    operator = OperatorSettings(rule_labels=given, channel_labels=given, token_secret="steward")
    return group.model_copy(
        update={
            "identity": identity,
            "delivery": Delivery.OPERATOR,
            "tempo": group.tempo.model_copy(update={"load": timedelta(seconds=2)}),
            "files": FilesSettings(),
            "operator": operator,
            "webhook": group.webhook.model_copy(update={"url": "http://alerting.linkerd-steward:9465/alertmanager"}),
        }
    )


@dataclass
class Operator:
    """Carries objects with the right labels on, once for each change."""

    world: World
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def selected(self, found: list[JsonObject]) -> list[JsonObject]:
        """Those that the selectors select."""
        return [each for each in found if LABELS.items() <= texts(each, "metadata", "labels").items()]

    async def carry(self) -> None:
        """Until cancelled."""
        while True:
            self.changed.clear()
            cluster = self.world.kubernetes.cluster
            await self._rules(self.selected(cluster.list(PROMETHEUS_RULES)))
            await self._routes(self.selected(cluster.list(ALERTMANAGER_CONFIGS)))
            await self.changed.wait()

    def note(self, moment: WriteMoment) -> None:
        """Something was written."""
        if moment.stage == "after" and "monitoring.coreos.com" in moment.path:
            self.changed.set()

    async def _rules(self, found: list[JsonObject]) -> None:
        folder = self.world.folder / "rules"
        files = {_file(each): render_yaml(table(each, "spec")) for each in found}
        for path in folder.glob("*.yaml"):
            if path.name not in files:
                path.unlink()
        for name, content in files.items():
            (folder / name).write_text(content)
        await self.world.prometheus.reload()

    async def _routes(self, found: list[JsonObject]) -> None:
        receivers: list[Json] = [{"name": "null"}]
        times: list[Json] = []
        for each in found:
            place = f"{text(each, 'metadata', 'namespace')}/{text(each, 'metadata', 'name')}"
            receivers += [{"name": f"{place}/{text(one, 'name')}"} for one in rows(each, "spec", "receivers")]
            times += [{"name": f"{place}/{text(one, 'name')}"} for one in rows(each, "spec", "muteTimeIntervals")]
        document: JsonObject = {"route": {"receiver": "null"}, "receivers": receivers, "mute_time_intervals": times}
        (self.world.folder / "alertmanager" / "alertmanager.yml").write_text(render_yaml(document))
        await self.world.alertmanager.reload()


def _file(found: JsonObject) -> str:
    return "-".join(text(found, "metadata", each) for each in ("namespace", "name", "uid")) + ".yaml"


@asynccontextmanager
async def operated(world: World) -> AsyncIterator[Operator]:
    """An operator at work."""
    operator = Operator(world)
    world.kubernetes.on_write(operator.note)
    task = asyncio.create_task(operator.carry())
    try:
        yield operator
    finally:
        task.cancel()
        await asyncio.wait([task])


def install(world: World, definitions: tuple[JsonObject, ...]) -> None:
    """The operator's kinds."""
    for each in definitions:
        world.kubernetes.cluster.create(CRDS, each)
