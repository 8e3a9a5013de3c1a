"""An installation that a GitOps tool owns: the change is written down for its owner, and nothing is applied.

Each step leaves one folder: `change.json` for programs, `SUMMARY.md` for people, and the rendered objects to compare
with. Secrets are left out of the rendering, and so are the webhooks' caBundles, which are made anew at each render.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from services.upgrader.core.orders import Done, Order, Refused, Stage, StepObservation, StepPreview
from services.upgrader.edges.apply import is_established
from services.upgrader.edges.chart_values import differences, read_values
from services.upgrader.edges.handover import Handover
from services.upgrader.edges.helm import CONTROL_PLANE_CHART, CRDS_CHART, Helm
from services.upgrader.edges.manifests import Identity, parse_manifests
from services.upgrader.edges.rollout import observe_rollout
from services.upgrader.edges.tooling import ChartAtHand, NoTool, Tooling, refusal
from steward.errors import ToolError
from steward.jsonvalue import Json, JsonObject, dig, rows, table, text
from steward.kube.client import Kube
from steward.kube.resources import CONFIG_MAPS, CRDS
from steward.linkerd.mesh_config import CONFIG_MAP, UnreadableConfig, parse_config
from steward.resources.upgrade_plan import StepType

_CHART_OF = {StepType.APPLY_CRDS: CRDS_CHART, StepType.UPGRADE_CONTROL_PLANE: CONTROL_PLANE_CHART}
# The chart wants a key to render a Secret that is then left out.
_WITHHELD = "withheld"


@dataclass(frozen=True, slots=True)
class GitOpsInstallation:
    """Renders changes into a folder."""

    kube: Kube
    helm: Helm
    tooling: Tooling
    namespace: str
    folder: Path | None

    async def observe(self, order: Order) -> StepObservation:
        """Whether the owner has applied the change, and else whether it was handed over."""
        if order.step_type not in _CHART_OF and order.step_type is not StepType.PREFLIGHT:
            return StepObservation(Stage.REACHED, "NotNeeded", "the owner's tool removes what it no longer renders")
        chart = await self.tooling.chart(order.target, _CHART_OF.get(order.step_type, CRDS_CHART), order.release)
        if self.folder is None:
            message = (
                "a GitOps tool owns this installation, and no folder is configured where changes for it are written: "
                "set the upgrader's gitops directory"
            )
            return StepObservation(Stage.REFUSED, "NoHandover", message)
        if isinstance(chart, NoTool):
            return StepObservation(Stage.REFUSED, *refusal(chart))
        if order.step_type is StepType.PREFLIGHT:
            return StepObservation(Stage.REACHED, "ToolsAtHand", f"changes are written to {str(self.folder)!r}")
        applied = await self._applied(order, chart)
        if applied is not None:
            return applied
        handover = Handover(self.folder, order.run, order.step)
        if handover.made_for(order.target, _operations(order)):
            message = f"the change is in {str(handover.path)!r} and waits for the owner of the installation to apply it"
            return StepObservation(Stage.HANDED_OVER, "ChangeWritten", message, handover.operation())
        return StepObservation(Stage.ABSENT, "NotHandedOver", f"no change to {order.target} was written yet")

    async def act(self, order: Order) -> Done | Refused:
        """Write the change."""
        if order.step_type not in _CHART_OF or self.folder is None:
            return Done(f"nothing to write for {order.step_type.value}", changed=False)
        name = _CHART_OF[order.step_type]
        chart = await self.tooling.chart(order.target, name, order.release)
        if isinstance(chart, NoTool):
            return Refused(*refusal(chart))
        rendered, remark = await self._rendered(order, chart, name)
        handover = Handover(self.folder, order.run, order.step)
        handover.write(
            {
                "change.json": json.dumps(_change(order, name, chart, remark), indent=2) + "\n",
                "SUMMARY.md": _summary(order, name, chart, rendered, remark),
                f"{name}.yaml": yaml.safe_dump_all(rendered, sort_keys=False),
            }
        )
        return Done(f"the change to chart {name} {chart.version} was written to {str(handover.path)!r}")

    async def preview(self, order: Order) -> StepPreview:
        """Where a change would be written."""
        if order.step_type not in _CHART_OF or self.folder is None:
            return StepPreview("nothing")
        path = Handover(self.folder, order.run, order.step).path
        return StepPreview(f"the change to {_CHART_OF[order.step_type]} of {order.target} would be written to {path}")

    async def _applied(self, order: Order, chart: ChartAtHand) -> StepObservation | None:
        if order.step_type is StepType.APPLY_CRDS:
            return await self._crds_applied(order, chart)
        config = await self.kube.find(CONFIG_MAPS, CONFIG_MAP, self.namespace)
        try:
            version = parse_config(config).version if config is not None else ""
        except UnreadableConfig:
            version = ""
        if version != str(order.target):
            return None
        rollout = await observe_rollout(self.kube, self.namespace)
        stage = Stage.REACHED if rollout.settled else Stage.SETTLING
        return StepObservation(stage, rollout.reason, f"linkerd-config names {version}; {rollout.message}")

    async def _crds_applied(self, order: Order, chart: ChartAtHand) -> StepObservation | None:
        rendered = await self._render(CRDS_CHART, chart, b"")
        for crd in rendered:
            live = await self.kube.find(CRDS, text(crd, "metadata", "name"))
            if live is None or not says_all_of(live.get("spec"), crd.get("spec")):
                return None
            if not is_established(live):
                message = f"{text(crd, 'metadata', 'name')} is not established yet"
                return StepObservation(Stage.SETTLING, "NotEstablished", message)
        return StepObservation(Stage.REACHED, "Established", f"{len(rendered)} CRDs are as {order.target} has them")

    async def _rendered(self, order: Order, chart: ChartAtHand, name: str) -> tuple[list[JsonObject], str]:
        """The objects, and why there are none where there are none."""
        if name == CRDS_CHART:
            return await self._render(name, chart, b""), ""
        source = await self.tooling.chart(order.source, name, None)
        config = await self.kube.find(CONFIG_MAPS, CONFIG_MAP, self.namespace)
        if isinstance(source, NoTool) or config is None:
            return [], (
                f"The control plane is not rendered: the values that were given can be told from the defaults only by "
                f"chart {name} of {order.source}, which is not at hand."
            )
        given = differences(_merged_values(config), read_values(source.path))
        _withhold(given)
        return await self._render(name, chart, json.dumps(given).encode()), ""

    async def _render(self, name: str, chart: ChartAtHand, values: bytes) -> list[JsonObject]:
        server = await self.kube.server_version()
        output = await self.helm.render(name, self.namespace, chart.path, values, kubernetes=server)
        return [_public(raw) for raw in parse_manifests(output, f"chart {name}") if text(raw, "kind") != "Secret"]


def says_all_of(live: Json, wanted: Json) -> bool:
    """Whether `live` says everything that `wanted` does; the API server's own additions do not matter."""
    if isinstance(wanted, dict):
        return isinstance(live, dict) and all(
            says_all_of(live.get(key), value) for key, value in wanted.items() if value not in (None, {}, [])
        )
    if isinstance(wanted, list):
        return (
            isinstance(live, list)
            and len(live) == len(wanted)
            and all(says_all_of(one, other) for one, other in zip(live, wanted, strict=True))
        )
    return live == wanted


def _operations(order: Order) -> Sequence[str]:
    return (order.operation_id, *order.previous_operations)


def _merged_values(config: JsonObject) -> JsonObject:
    try:
        parsed: Json = yaml.safe_load(text(config, "data", "values"))
    except yaml.YAMLError:
        raise ToolError("the values of ConfigMap linkerd-config are not YAML: restore it from a backup") from None
    return table({"values": parsed}, "values")


def _withhold(values: JsonObject) -> None:
    """What linkerd-config names of itself is not a wish of its owner, and the key is nobody's business."""
    for of_the_release in ("linkerdVersion", "cliVersion", "controllerImageVersion"):
        values.pop(of_the_release, None)
    if dig(values, "identity", "issuer", "tls", "crtPEM") is not None:
        table(values, "identity", "issuer", "tls")["keyPEM"] = _WITHHELD


def _public(raw: JsonObject) -> JsonObject:
    for webhook in rows(raw, "webhooks"):
        table(webhook, "clientConfig").pop("caBundle", None)
    return raw


def _change(order: Order, name: str, chart: ChartAtHand, remark: str) -> JsonObject:
    return {
        "run": order.run,
        "step": order.step,
        "operation": order.operation_id,
        "from": str(order.source),
        "to": str(order.target),
        "chart": name,
        "chartVersion": chart.version,
        "remark": remark,
    }


def _summary(order: Order, name: str, chart: ChartAtHand, rendered: Iterable[JsonObject], remark: str) -> str:
    listed = "\n".join(f"- {Identity.of(raw)}" for raw in rendered)
    notices = order.release.notices if order.release is not None else ()
    said = "\n".join(f"- {notice}" for notice in notices)
    return (
        "\n\n".join(
            part
            for part in (
                f"# {name}: {order.source} → {order.target}",
                f"Set the version of chart `{name}` to `{chart.version}` where this installation is described, keep "
                "its values, and let your tool apply it. Nothing was applied by Steward; the run goes on when it sees "
                "the version in the cluster.",
                f"## Notices\n\n{said}" if said else "",
                remark or f"## Objects\n\nRendered in `{name}.yaml`, without Secrets and caBundles:\n\n{listed}",
                f"Run {order.run}, step {order.step}, operation {order.operation_id}.",
            )
            if part
        )
        + "\n"
    )
