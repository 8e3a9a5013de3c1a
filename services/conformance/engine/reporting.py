"""The end of a run: what is wrong in findings, and reports in the object store."""

from collections import deque
from dataclasses import dataclass

from services.conformance.core import ledger
from services.conformance.core.grouping import findings
from services.conformance.core.ledger import Said, outcome_of, status_of
from services.conformance.engine.world import World
from steward.bus.errors import BusClosed, BusError
from steward.clock import within
from steward.conformance.reports import Form, RunReport
from steward.conformance.reports.document import FeatureReport, Subject
from steward.conformance.results import FeatureResult
from steward.events.conformance import Finding
from steward.resources.conformance_run import ConformanceRun

_MOST_OF_A_FEATURE = 50
FORMS = (Form.JSON, Form.JUNIT, Form.MARKDOWN, Form.HTML)


def report_name(run_uid: str, form: Form) -> str:
    """Where a report is."""
    return f"conformance/{run_uid}/report.{form.value}"


@dataclass(frozen=True, slots=True)
class Reporting:
    """Writes reports."""

    world: World

    async def report(self, run: ConformanceRun) -> None:
        """Store them, and write down where; without NATS the run ends without them, after a while."""
        found: tuple[Finding, ...] = ()
        name, why = "", Said("Stored", "reports are in the object store steward-evidence")
        try:
            async with within(self.world.clock, self.world.means.report):
                results = await self._results(run)
                found = findings(each for kept in results.values() for each in kept)
                name = await self._store(run, results, found)
        except BusClosed:
            raise
        except (BusError, TimeoutError) as error:
            why = Said("NotStored", f"reports cannot be stored: {str(error) or 'NATS is away'}")
        now = self.world.clock.now()
        await self.world.runs.change(run, lambda current: ledger.reported(current, name, found, why, now))

    async def _results(self, run: ConformanceRun) -> dict[str, deque[FeatureResult]]:
        kept: dict[str, deque[FeatureResult]] = {}
        async for result in self.world.edges.results.of_run(run.metadata.uid, run.metadata.name):
            of_feature = kept.setdefault(result.feature, deque(maxlen=_MOST_OF_A_FEATURE))
            if not any(each.id == result.id for each in of_feature):
                of_feature.append(result)
        return kept

    async def _store(
        self, run: ConformanceRun, results: dict[str, deque[FeatureResult]], found: tuple[Finding, ...]
    ) -> str:
        report = self._document(run, results, found)
        for form in FORMS:
            name = report_name(run.metadata.uid, form)
            await self.world.edges.evidence.put(name, self.world.edges.render(report, form))
        return report_name(run.metadata.uid, Form.HTML)

    def _document(
        self, run: ConformanceRun, results: dict[str, deque[FeatureResult]], found: tuple[Finding, ...]
    ) -> RunReport:
        status = status_of(run)
        outcome, why = outcome_of(run)
        return RunReport(
            run=run.metadata.name,
            run_uid=run.metadata.uid,
            suite=run.spec.suite_ref.name,
            trigger=run.spec.trigger.value,
            exerciser_version=status.exerciser_version,
            subject=Subject(
                cluster=self.world.means.access.cluster,
                kubernetes_version=status.cluster.kubernetes_version,
                linkerd_version=status.cluster.linkerd_version,
                proxy_versions=status.cluster.proxy_versions,
                nodes=status.cluster.nodes,
                zones=status.cluster.zones,
            ),
            started_at=status.started_at,
            ended_at=self.world.clock.now(),
            outcome=outcome,
            message=why.message,
            summary=ledger.counted(status.features),
            findings=found,
            features=tuple(self._feature(feature, tuple(kept)) for feature, kept in sorted(results.items())),
        )

    def _feature(self, feature: str, results: tuple[FeatureResult, ...]) -> FeatureReport:
        probe = self.world.knowing.probe(feature)
        return FeatureReport(
            feature=feature,
            claim=probe.claim if probe else "",
            tier=results[-1].tier,
            security=probe.security if probe else False,
            results=results,
            state=self.world.knowing.state(feature),
        )
