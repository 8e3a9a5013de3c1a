"""An installation by the Linkerd CLI, upgraded by the CLI of the target version: it renders, we apply.

Every rendering has new webhook certificates, so an upgrade is applied from one rendering as a whole, and one that was
cut off is done again from a new one. That it is complete is said by one stamp, put on `linkerd-config` last of all.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from services.upgrader.core.orders import Done, Order, Refused, Stage, StepObservation, StepPreview
from services.upgrader.edges.apply import Applier
from services.upgrader.edges.linkerd_cli import LinkerdCli
from services.upgrader.edges.manifests import Identity
from services.upgrader.edges.prune import Pruner
from services.upgrader.edges.rollout import observe_rollout
from services.upgrader.edges.toolbox import Toolbox
from services.upgrader.edges.tooling import NoTool, refusal
from steward.jsonvalue import JsonObject, text, texts
from steward.kube.client import Kube
from steward.kube.resources import CONFIG_MAPS, CRDS, DEPLOYMENTS, SECRETS, SERVICE_ACCOUNTS
from steward.linkerd import marks
from steward.linkerd.mesh_config import CONFIG_MAP, UnreadableConfig, parse_config
from steward.linkerd.ownership import OVERRIDES_SECRET
from steward.resources.upgrade_plan import StepType

_ESTABLISHED_WITHIN = timedelta(seconds=60)
_GATEWAY_GROUP = ".gateway.networking.k8s.io"


@dataclass(frozen=True, slots=True)
class CliInstallation:
    """Drives the target's `linkerd` for one step at a time."""

    kube: Kube
    toolbox: Toolbox
    applier: Applier
    namespace: str

    @property
    def _seal(self) -> Identity:
        return Identity("v1", "ConfigMap", CONFIG_MAP, self.namespace)

    async def observe(self, order: Order) -> StepObservation:
        """How far the step's goal is."""
        cli = await self.toolbox.cli(order.target, order.release)
        if order.step_type is StepType.UPGRADE_CONTROL_PLANE:
            return await self._observe_control_plane(order, cli)
        if isinstance(cli, NoTool):
            return StepObservation(Stage.REFUSED, *refusal(cli))
        match order.step_type:
            case StepType.PREFLIGHT:
                return await self._preflight(order)
            case StepType.APPLY_CRDS:
                return await self._observe_crds(order, cli)
            case StepType.PRUNE:
                return await self._observe_leftovers(order, cli)
            case _:
                return StepObservation(Stage.REACHED, "NotNeeded", "nothing to do for this installation")

    async def act(self, order: Order) -> Done | Refused:
        """Apply what the CLI renders, or delete what it no longer does."""
        cli = await self.toolbox.cli(order.target, order.release)
        if isinstance(cli, NoTool):
            return Refused(*refusal(cli))
        match order.step_type:
            case StepType.APPLY_CRDS:
                return await self._apply_crds(order, cli)
            case StepType.UPGRADE_CONTROL_PLANE:
                count = await self.applier.apply(await cli.render_control_plane(), order.operation_id, seal=self._seal)
                return Done(f"{count} objects of {order.target} were applied")
            case StepType.PRUNE:
                return await self._prune(order, cli)
            case _:
                return Done(f"nothing to do for {order.step_type.value}", changed=False)

    async def preview(self, order: Order) -> StepPreview:
        """What would be applied or deleted."""
        cli = await self.toolbox.cli(order.target, order.release)
        if isinstance(cli, NoTool):
            return StepPreview(f"would be refused: {cli.message}")
        match order.step_type:
            case StepType.APPLY_CRDS:
                changed = [each for each in await self._own_crds(cli) if await self.applier.would_change(each)]
                return StepPreview(f"CRDs that would change: {_names(changed) or 'none'}")
            case StepType.UPGRADE_CONTROL_PLANE:
                rendered = await cli.render_control_plane()
                return StepPreview(f"{len(rendered)} objects of {order.target} would be applied")
            case StepType.PRUNE:
                leftovers = await self._leftovers(order, cli)
                return StepPreview(f"would be deleted: {', '.join(map(str, leftovers)) or 'nothing'}")
            case _:
                return StepPreview("nothing")

    async def _preflight(self, order: Order) -> StepObservation:
        if await self.kube.find(SECRETS, OVERRIDES_SECRET, self.namespace) is None:
            message = (
                f"Secret {self.namespace}/{OVERRIDES_SECRET} does not exist, so `linkerd upgrade` would not know what "
                "this installation was told: upgrade it with the tool that made it"
            )
            return StepObservation(Stage.REFUSED, "NoOverrides", message)
        return StepObservation(Stage.REACHED, "ToolsAtHand", f"the CLI of {order.target} is at hand")

    async def _observe_crds(self, order: Order, cli: LinkerdCli) -> StepObservation:
        crds = await self._own_crds(cli)
        changing = [each for each in crds if await self.applier.would_change(each)]
        if changing:
            begun = await self._begun(order, [await self.kube.find(CRDS, _name(each)) for each in crds])
            stage = Stage.INTERRUPTED if begun else Stage.ABSENT
            return StepObservation(stage, "CrdsDiffer", f"not as {order.target} has them: {_names(changing)}", begun)
        waiting = await self.applier.not_established([_name(each) for each in crds])
        if waiting:
            message = f"not established yet: {', '.join(waiting)}"
            return StepObservation(Stage.SETTLING, "NotEstablished", message)
        return StepObservation(Stage.REACHED, "Established", f"{len(crds)} CRDs are as {order.target} has them")

    async def _apply_crds(self, order: Order, cli: LinkerdCli) -> Done | Refused:
        crds = await self._own_crds(cli)
        await self.applier.apply(crds, order.operation_id)
        waiting = await self.applier.until_established([_name(each) for each in crds], _ESTABLISHED_WITHIN)
        late = f"; not established yet: {', '.join(waiting)}" if waiting else ""
        return Done(f"{len(crds)} CRDs of {order.target} were applied{late}")

    async def _own_crds(self, cli: LinkerdCli) -> list[JsonObject]:
        """What `upgrade --crds` renders, without the Gateway API: where Linkerd once owned these CRDs, its CLI would
        put an old bundle over a newer one and stop serving versions that others store."""
        return [each for each in await cli.render_crds() if not _name(each).endswith(_GATEWAY_GROUP)]

    async def _observe_control_plane(self, order: Order, cli: LinkerdCli | NoTool) -> StepObservation:
        config = await self.kube.find(CONFIG_MAPS, CONFIG_MAP, self.namespace)
        version, stamp = _configured(config), _stamp(config)
        begun = await self._begun(order, await self._touched_early())
        complete = stamp in _operations(order) or not begun
        if version == str(order.target) and complete:
            rollout = await observe_rollout(self.kube, self.namespace)
            stage = Stage.REACHED if rollout.settled else Stage.SETTLING
            return StepObservation(stage, rollout.reason, f"linkerd-config names {version}; {rollout.message}", stamp)
        if isinstance(cli, NoTool):
            return StepObservation(Stage.REFUSED, *refusal(cli))
        if begun:
            message = f"operation {begun} began to apply {order.target} and was cut off"
            return StepObservation(Stage.INTERRUPTED, "PartlyApplied", message, begun)
        return StepObservation(Stage.ABSENT, "NotUpgraded", f"linkerd-config names {version or 'no version'}")

    async def _touched_early(self) -> list[JsonObject]:
        """Objects that an upgrade applies before it seals `linkerd-config`."""
        accounts = await self.kube.list(SERVICE_ACCOUNTS, self.namespace, labels=marks.CONTROL_PLANE_NS)
        deployments = await self.kube.list(DEPLOYMENTS, self.namespace, labels=marks.CONTROL_PLANE_NS)
        return [*accounts.items, *deployments.items]

    async def _begun(self, order: Order, objects: Iterable[JsonObject | None]) -> str:
        """The operation of this run whose stamp one of the objects has, empty where none has."""
        stamps = {_stamp(each) for each in objects}
        return next((operation for operation in _operations(order) if operation in stamps), "")

    async def _leftovers(self, order: Order, cli: LinkerdCli) -> tuple[Identity, ...]:
        pruner = Pruner(self.kube, self.applier.kinds, self.namespace)
        return await pruner.leftovers(await cli.prunable(), order.prune_exclude_kinds)

    async def _observe_leftovers(self, order: Order, cli: LinkerdCli) -> StepObservation:
        leftovers = await self._leftovers(order, cli)
        if not leftovers:
            return StepObservation(Stage.REACHED, "NothingLeft", f"nothing is left that {order.target} does not have")
        names = ", ".join(map(str, leftovers))
        return StepObservation(Stage.ABSENT, "LeftOver", f"left over from an earlier version: {names}")

    async def _prune(self, order: Order, cli: LinkerdCli) -> Done:
        pruner = Pruner(self.kube, self.applier.kinds, self.namespace)
        leftovers = await pruner.leftovers(await cli.prunable(), order.prune_exclude_kinds)
        deleted = await pruner.delete(leftovers)
        return Done(f"deleted: {', '.join(map(str, deleted)) or 'nothing'}", changed=bool(deleted))


def _operations(order: Order) -> Sequence[str]:
    return (order.operation_id, *order.previous_operations)


def _configured(config: JsonObject | None) -> str:
    try:
        return parse_config(config).version if config is not None else ""
    except UnreadableConfig:
        return ""


def _stamp(raw: JsonObject | None) -> str:
    return texts(raw or {}, "metadata", "annotations").get(marks.LAST_OPERATION, "")


def _name(raw: JsonObject) -> str:
    return text(raw, "metadata", "name")


def _names(objects: Iterable[JsonObject]) -> str:
    return ", ".join(_name(each) for each in objects)
