"""The custom resources of conformance, kept current. One that cannot be read is left out and said so."""

import asyncio
from collections.abc import Callable
from typing import TypeVar

from pydantic import ValidationError
from structlog.typing import FilteringBoundLogger

from services.conformance.core.ledger import is_over, status_of
from services.conformance.core.suites import DEFAULT
from steward.jsonvalue import JsonObject, text
from steward.kube.client import Kube
from steward.kube.reflector import Reflector
from steward.kube.resources import CONFORMANCE_RUNS, CONFORMANCE_SUITES
from steward.resources.base import Resource
from steward.resources.conformance_run import ConformanceRun
from steward.resources.conformance_suite import ConformanceSuite, ConformanceSuiteSpec, Pace

R = TypeVar("R", bound=Resource)
Listener = Callable[[str], None]


class Resources:
    """Suites and runs."""

    def __init__(self, kube: Kube, log: FilteringBoundLogger, on_run: Listener, on_suite: Callable[[], None]) -> None:
        self._log = log
        self._on_run = on_run
        self._on_suite = on_suite
        self._suites = Reflector(
            kube, CONFORMANCE_SUITES, trim=self._reader(ConformanceSuite), on_change=self._suite_changed
        )
        self._runs = Reflector(kube, CONFORMANCE_RUNS, trim=self._reader(ConformanceRun), on_change=self._run_changed)

    async def run_caches(self) -> None:
        """Keep everything current until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            for each in (self._suites, self._runs):
                tasks.create_task(each.run(), name=f"cache of {each.resource}")

    async def synced(self) -> None:
        """Return once everything was listed."""
        for each in (self._suites, self._runs):
            await each.synced.wait()

    @property
    def problem(self) -> str | None:
        """What keeps the caches from being current, None while nothing does."""
        for each in (self._suites, self._runs):
            if not each.synced.is_set():
                return f"{each.resource} were not listed yet: {each.problem or 'the first list is under way'}"
        return None

    def runs(self) -> tuple[ConformanceRun, ...]:
        """Every run, the oldest first. Others may have written since."""
        found = [each for each in self._runs.values() if each is not None]
        return tuple(sorted(found, key=lambda each: (str(each.metadata.creation_timestamp), each.metadata.name)))

    def run(self, name: str) -> ConformanceRun | None:
        """One run."""
        return self._runs.get(name)

    def suites(self) -> tuple[ConformanceSuite, ...]:
        """Every suite."""
        return tuple(each for each in self._suites.values() if each is not None)

    def suite(self, name: str) -> ConformanceSuiteSpec | None:
        """The suite of that name; the default one needs nobody to make it."""
        found = self._suites.get(name)
        if found is not None:
            return found.spec
        return ConformanceSuiteSpec() if name == DEFAULT else None

    @property
    def has_default(self) -> bool:
        """Whether somebody made the default suite: by that probes are asked for that nobody starts by hand."""
        return self._suites.get(DEFAULT) is not None

    def living(self) -> frozenset[str]:
        """Runs whose namespaces must not be touched."""
        return frozenset(each.metadata.uid for each in self.runs() if not is_over(each))

    def crowding(self, run: ConformanceRun) -> str:
        """The run that must be over first: those that go through once do so one after another."""
        if run.spec.pace is not Pace.ONCE:
            return ""
        is_older = True
        for other in self.runs():
            if other.metadata.uid == run.metadata.uid:
                is_older = False
            elif other.spec.pace is Pace.ONCE and not is_over(other):
                may_begin = is_older and self.suite(other.spec.suite_ref.name) is not None
                if status_of(other).suite is not None or may_begin:
                    return f"ConformanceRun {other.metadata.name!r} goes first"
        return ""

    def _reader(self, kind: type[R]) -> Callable[[JsonObject], R | None]:
        def read(found: JsonObject) -> R | None:
            try:
                return kind.of(found)
            except ValidationError as error:
                name = text(found, "metadata", "name")
                problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
                self._log.error(
                    "left out: it cannot be read",
                    kind=kind.kind_name,
                    name=name,
                    where=problem["loc"],
                    why=problem["msg"],
                )
                return None

        return read

    def _run_changed(self, key: str, _old: object, _new: object) -> None:
        self._on_run(key)

    def _suite_changed(self, _key: str, _old: object, _new: object) -> None:
        self._on_suite()
