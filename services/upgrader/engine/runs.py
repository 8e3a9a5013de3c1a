"""Reading and writing runs. Every write says which version it was made from, so that nobody's write is lost."""

from dataclasses import dataclass

from pydantic import ValidationError

from steward.errors import StewardError
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.errors import AlreadyExists, NotFound
from steward.kube.resources import UPGRADE_RUNS
from steward.resources.upgrade_run import DesiredState, UpgradeRun, UpgradeRunStatus


class UnreadableRun(StewardError):
    """A run that this version of upgrader does not understand; it is left to the one that wrote it."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The UpgradeRuns of the cluster."""

    kube: Kube

    async def get(self, name: str) -> UpgradeRun | None:
        """The run as the API server has it, None where it is gone."""
        found = await self.kube.find(UPGRADE_RUNS, name)
        return _read(found) if found is not None else None

    async def write(self, run: UpgradeRun) -> UpgradeRun:
        """Store the status. Conflict where anybody wrote since `run` was read."""
        stored = await self.kube.merge(
            UPGRADE_RUNS,
            run.metadata.name,
            {"status": _status(run.status or UpgradeRunStatus())},
            subresource="status",
            resource_version=run.metadata.resource_version,
        )
        return _read(stored)

    async def ask_for_pause(self, run: UpgradeRun) -> None:
        """Set `spec.state` to Pause, unless somebody changed the run meanwhile."""
        patch: JsonObject = {"spec": {"state": DesiredState.PAUSE.value}}
        await self.kube.merge(UPGRADE_RUNS, run.metadata.name, patch, resource_version=run.metadata.resource_version)

    async def create(self, body: JsonObject) -> bool:
        """Make a run; False where one of its name exists already, finished or not."""
        try:
            await self.kube.create(UPGRADE_RUNS, body)
        except AlreadyExists:
            return False
        return True

    async def delete(self, run: UpgradeRun) -> None:
        """Delete a finished run of the history."""
        try:
            await self.kube.delete(UPGRADE_RUNS, run.metadata.name, uid=run.metadata.uid)
        except NotFound:
            return


def _read(found: JsonObject) -> UpgradeRun:
    try:
        return UpgradeRun.of(found)
    except ValidationError as error:
        name = text(found, "metadata", "name")
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in problem["loc"])
        raise UnreadableRun(f"UpgradeRun {name!r} cannot be read: {where}: {problem['msg']}") from error


def _status(status: UpgradeRunStatus) -> JsonObject:
    """A merge patch keeps what it does not name, so what is absent is named as null."""
    absent: JsonObject = {
        field.alias or name: None for name, field in type(status).model_fields.items() if getattr(status, name) is None
    }
    return {**status.to_json(), **absent}
