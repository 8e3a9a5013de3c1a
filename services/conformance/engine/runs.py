"""Reading and writing runs. Every write says which version it was made from, so that nobody's write is lost."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from services.conformance.core.ledger import status_of
from steward.errors import StewardError
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.errors import AlreadyExists, Conflict
from steward.kube.resources import CONFORMANCE_RUNS
from steward.resources.conformance_run import ConformanceRun, ConformanceRunStatus, RunState

Change = Callable[[ConformanceRun], ConformanceRun]


class UnreadableRun(StewardError):
    """A run that this version of conformance does not understand; it is left to the one that wrote it."""


@dataclass(frozen=True, slots=True)
class Runs:
    """The ConformanceRuns of the cluster."""

    kube: Kube

    async def get(self, name: str) -> ConformanceRun | None:
        """The run as the API server has it, None where it is gone."""
        found = await self.kube.find(CONFORMANCE_RUNS, name)
        return _read(found) if found is not None else None

    async def change(self, run: ConformanceRun, change: Change) -> ConformanceRun | None:
        """Write the status that `change` makes, on top of whatever was written since; None where the run is gone."""
        current: ConformanceRun | None = run
        while current is not None and current.metadata.uid == run.metadata.uid:
            changed = change(current)
            if changed.status == current.status:
                return current
            try:
                return await self._write(changed)
            except Conflict:
                current = await self.get(run.metadata.name)
        return None

    async def _write(self, run: ConformanceRun) -> ConformanceRun:
        stored = await self.kube.merge(
            CONFORMANCE_RUNS,
            run.metadata.name,
            {"status": _status(status_of(run))},
            subresource="status",
            resource_version=run.metadata.resource_version,
        )
        return _read(stored)

    async def create(self, body: JsonObject) -> bool:
        """Make a run; False where one of its name exists already, finished or not."""
        try:
            await self.kube.create(CONFORMANCE_RUNS, body)
        except AlreadyExists:
            return False
        return True

    async def stop(self, run: ConformanceRun) -> None:
        """Set `spec.state` to Stop."""
        await self.kube.merge(CONFORMANCE_RUNS, run.metadata.name, {"spec": {"state": RunState.STOP.value}})


def _read(found: JsonObject) -> ConformanceRun:
    try:
        return ConformanceRun.of(found)
    except ValidationError as error:
        name = text(found, "metadata", "name")
        problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(step) for step in problem["loc"])
        raise UnreadableRun(f"ConformanceRun {name!r} cannot be read: {where}: {problem['msg']}") from error


def _status(status: ConformanceRunStatus) -> JsonObject:
    """A merge patch keeps what it does not name, so what is absent is named as null."""
    absent: JsonObject = {
        field.alias or name: None for name, field in type(status).model_fields.items() if getattr(status, name) is None
    }
    return {**status.to_json(), **absent}
