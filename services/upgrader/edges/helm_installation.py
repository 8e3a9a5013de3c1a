"""An installation by Helm, upgraded by Helm: two releases, found by the name of their chart.

Whether an upgrade happened is read from the releases, never remembered. A kill leaves one of four things behind:
nothing at all, a revision that is pending for ever, the same while nothing is deployed any more, or a finished one.
"""

from dataclasses import dataclass
from datetime import timedelta

from services.upgrader.core.orders import Done, Order, Refused, Stage, StepObservation, StepPreview
from services.upgrader.edges.apply import is_established
from services.upgrader.edges.helm import CONTROL_PLANE_CHART, CRDS_CHART, Helm, Release, Revision, Upgrade, was_cut_off
from services.upgrader.edges.helm_storage import ABANDONED
from services.upgrader.edges.redaction import redact
from services.upgrader.edges.rollout import observe_rollout
from services.upgrader.edges.tooling import ChartAtHand, NoTool, Tooling, refusal
from steward.jsonvalue import text, texts
from steward.kube.client import Kube
from steward.kube.resources import CRDS
from steward.linkerd import marks
from steward.resources.upgrade_plan import StepType

_CHART_OF = {StepType.APPLY_CRDS: CRDS_CHART, StepType.UPGRADE_CONTROL_PLANE: CONTROL_PLANE_CHART}
_A_CRD = "serviceprofiles.linkerd.io"
# In a source tree every chart has this version, so it does not tell one release from another.
_PLACEHOLDER = "0.0.0-undefined"
_ROLLBACK = "Rollback to "
_SHORTEST = timedelta(seconds=30)


@dataclass(frozen=True, slots=True)
class HelmInstallation:
    """Drives `helm` for one step at a time."""

    kube: Kube
    helm: Helm
    tooling: Tooling
    namespace: str
    undo_on_failure: bool = False
    """Off: while a rollout is stuck the old pods keep serving, and a person decides; helm would not wait for one."""

    async def observe(self, order: Order) -> StepObservation:
        """How far the step's goal is."""
        match order.step_type:
            case StepType.PREFLIGHT:
                return await self._preflight(order)
            case StepType.APPLY_CRDS | StepType.UPGRADE_CONTROL_PLANE:
                return await self._observe_release(order, _CHART_OF[order.step_type])
            case _:
                return _seen(Stage.REACHED, "NotNeeded", "Helm itself removes what a chart no longer has")

    async def act(self, order: Order) -> Done | Refused:
        """`helm upgrade` of the step's release; a revision that an attempt of this run left pending is freed first."""
        if order.step_type not in _CHART_OF:
            return Done(f"nothing to do for {order.step_type.value} of a Helm installation", changed=False)
        name = _CHART_OF[order.step_type]
        release = await self._release(name)
        if isinstance(release, StepObservation):
            return Refused(release.reason, release.message)
        chart = await self.tooling.chart(order.target, name, order.release)
        if isinstance(chart, NoTool):
            return Refused(*refusal(chart))
        freed = ""
        if release.latest.pending:
            owner = await self.helm.storage.operation_of(release.ref(release.latest))
            if owner is None or owner not in _operations(order):
                return Refused("ReleaseLocked", _locked(release, owner))
            if await self.helm.storage.mark_failed(release.ref(release.latest), owner):
                freed = f", after freeing revision {release.latest.number} that operation {owner} left behind"
        description = f"Upgrade to {order.target} by linkerd-steward, operation {order.operation_id}"
        timeout = max(_SHORTEST, order.timeout)
        await self.helm.upgrade(
            release, Upgrade(chart.path, order.operation_id, description, timeout, self.undo_on_failure)
        )
        return Done(f"{release} was upgraded to chart {name} {chart.version}{freed}")

    async def preview(self, order: Order) -> StepPreview:
        """Which release would be upgraded from and to which chart."""
        if order.step_type not in _CHART_OF:
            return StepPreview("nothing: Helm itself removes what a chart no longer has")
        name = _CHART_OF[order.step_type]
        release = await self._release(name)
        if isinstance(release, StepObservation):
            return StepPreview(f"would be refused: {release.message}")
        chart = await self.tooling.chart(order.target, name, order.release)
        if isinstance(chart, NoTool):
            return StepPreview(f"would be refused: {chart.message}")
        now = release.deployed or release.latest
        return StepPreview(
            f"{release}: chart {name} {now.chart_version} → {chart.version}, with the values that were given to "
            f"revision {now.number}"
        )

    async def _preflight(self, order: Order) -> StepObservation:
        major = await self.helm.major_version()
        for name in _CHART_OF.values():
            release = await self._release(name)
            if isinstance(release, StepObservation):
                return release
            if release.latest.pending:
                owner = await self.helm.storage.operation_of(release.ref(release.latest))
                if owner not in _operations(order):
                    return _seen(Stage.REFUSED, "ReleaseLocked", _locked(release, owner))
            chart = await self.tooling.chart(order.target, name, order.release)
            if isinstance(chart, NoTool):
                return _seen(Stage.REFUSED, *refusal(chart))
        return _seen(Stage.REACHED, "ToolsAtHand", f"helm {major} and the charts of {order.target} are at hand")

    async def _observe_release(self, order: Order, name: str) -> StepObservation:
        release = await self._release(name)
        if isinstance(release, StepObservation):
            return release
        owner = await self.helm.storage.operation_of(release.ref(release.latest))
        if release.latest.pending:
            return _pending(order, release, owner)
        chart = await self.tooling.chart(order.target, name, order.release)
        if release.latest == release.deployed and _is_target(release.latest, chart, order, owner):
            return await self._settled(order, release, owner or "")
        if isinstance(chart, NoTool):
            return _seen(Stage.REFUSED, *refusal(chart))
        if owner == order.operation_id and release.latest.status == "failed":
            return _failed(release, owner)
        undone = await self._undone(order, release)
        if undone is not None:
            return undone
        now = release.deployed or release.latest
        return _seen(Stage.ABSENT, "NotUpgraded", f"{release} has chart {name} {now.chart_version}")

    async def _undone(self, order: Order, release: Release) -> StepObservation | None:
        """Whether helm took this very operation back by itself: its revision failed, and the next is a rollback."""
        if len(release.history) < 2 or not release.latest.description.startswith(_ROLLBACK):
            return None
        failed = release.history[-2]
        owner = await self.helm.storage.operation_of(release.ref(failed))
        if owner != order.operation_id or failed.status != "failed":
            return None
        message = f"{release}: revision {failed.number} failed and was rolled back: {redact(failed.description)}"
        return StepObservation(Stage.REFUSED, "RolledBack", message, owner)

    async def _settled(self, order: Order, release: Release, operation: str) -> StepObservation:
        what = f"{release} has chart version {release.latest.chart_version}"
        if order.step_type is StepType.APPLY_CRDS:
            waiting = await self._crds_not_established()
            if waiting:
                message = f"{what}, and these are not established yet: {', '.join(waiting)}"
                return StepObservation(Stage.SETTLING, "NotEstablished", message, operation)
            return StepObservation(Stage.REACHED, "Established", f"{what}, and its CRDs are established", operation)
        rollout = await observe_rollout(self.kube, self.namespace)
        stage = Stage.REACHED if rollout.settled else Stage.SETTLING
        return StepObservation(stage, rollout.reason, f"{what}; {rollout.message}", operation)

    async def _crds_not_established(self) -> list[str]:
        found = await self.kube.list(CRDS, labels=marks.CONTROL_PLANE_NS)
        return [text(crd, "metadata", "name") for crd in found.items if not is_established(crd)]

    async def _release(self, chart: str) -> Release | StepObservation:
        """The one release of that chart, or why there is not exactly one."""
        found: list[Release] = []
        namespaces = {self.namespace, await self._namespace_of_crds()}
        for namespace in sorted(namespaces - {""}):
            found += await self.helm.releases(namespace, chart)
        where = " or ".join(repr(namespace) for namespace in sorted(namespaces - {""}))
        if not found:
            message = (
                f"no Helm release of chart {chart} in namespace {where}: was Linkerd installed by another tool, or is "
                "its record gone? `helm list --all-namespaces` shows every release"
            )
            return _seen(Stage.REFUSED, "ReleaseNotFound", message)
        if len(found) > 1:
            names = ", ".join(str(each) for each in found)
            return _seen(
                Stage.REFUSED, "SeveralReleases", f"{names} all have chart {chart}: uninstall all but the one in use"
            )
        return found[0]

    async def _namespace_of_crds(self) -> str:
        crd = await self.kube.find(CRDS, _A_CRD)
        return texts(crd or {}, "metadata", "annotations").get(marks.HELM_RELEASE_NAMESPACE, "")


def _operations(order: Order) -> tuple[str, ...]:
    return (order.operation_id, *order.previous_operations)


def _is_target(revision: Revision, chart: ChartAtHand | NoTool, order: Order, owner: str | None) -> bool:
    if isinstance(chart, NoTool):
        known = (order.release.chart_version if order.release is not None else None) or order.target.chart
        return known is not None and revision.chart_version == known
    if revision.chart_version != chart.version or revision.app_version != chart.app_version:
        return False
    tells_apart = chart.version != _PLACEHOLDER or bool(chart.app_version)
    return tells_apart or owner in _operations(order)


def _pending(order: Order, release: Release, owner: str | None) -> StepObservation:
    if owner is None or owner not in _operations(order):
        return _seen(Stage.REFUSED, "ReleaseLocked", _locked(release, owner))
    message = f"{release}: revision {release.latest.number} is {release.latest.status}, left behind by {owner}"
    return StepObservation(Stage.INTERRUPTED, "ReleasePending", message, owner)


def _failed(release: Release, operation: str) -> StepObservation:
    if release.latest.description.startswith(ABANDONED):
        message = f"{release}: revision {release.latest.number} was freed and not yet tried again"
        return StepObservation(Stage.INTERRUPTED, "ReleaseFreed", message, operation)
    said = redact(release.latest.description)
    if was_cut_off(said):
        message = f"{release}: revision {release.latest.number} was cut off: {said}"
        return StepObservation(Stage.INTERRUPTED, "UpgradeCutOff", message, operation)
    message = (
        f"{release}: revision {release.latest.number} failed: {said}; "
        f"`helm history {release.name} --namespace {release.namespace}` shows it"
    )
    return StepObservation(Stage.REFUSED, "UpgradeFailed", message, operation)


def _locked(release: Release, owner: str | None) -> str:
    latest = release.latest
    whose = f"by operation {owner} of another run" if owner else "by somebody else"
    return (
        f"{release}: revision {latest.number} is {latest.status}, begun {whose}. Wait until it has ended; if it never "
        f"will, run `helm rollback {release.name} --namespace {release.namespace}` and start again"
    )


def _seen(stage: Stage, reason: str, message: str) -> StepObservation:
    return StepObservation(stage, reason, message)
