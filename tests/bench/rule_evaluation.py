"""What the rules of thousands of Services cost the Prometheus that evaluates them: loading, and one evaluation.

A real Prometheus scrapes the series of the mesh for a while. Then its rules are loaded and nothing is scraped any more,
so that what it does from there on are the rules. Each size has a Prometheus of its own: a mesh that is four times as
large has four times the series, too, and rules that looked at all of them would take sixteen times as long.

All groups are evaluated at one pace here, so that a look at three days, which is taken every two minutes, is in the sum
as often as any other. There is no history in it: what a look back over days costs is not measured here.

The peer is ourselves with a quarter of the Services: what grows in proportion has the ratio 1.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import aiohttp
from prometheus_client.parser import text_string_to_metric_families

from steward.alerting.monitoring import Monitoring, ScrapeKind, ScrapeProfile
from steward.alerting.rules import Group, rule_document
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions, StaticJob
from steward.testing.monitoring.tools import MonitoringTools, monitoring_tools
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.yamlvalue import render_yaml
from tests.bench.mesh_series import MeshSeries
from tests.bench.row import Row
from tests.bench.slo_rules import SIZES, objects_of, rules_of

SHIPPED_INTERVAL = timedelta(seconds=30)
"""Between two evaluations, in the configuration that is shipped."""
_INTERVAL_OF_500 = timedelta(seconds=4)
"""More Services have so much more time, so that Prometheus is equally busy at every size."""
_SCRAPE_EVERY = timedelta(seconds=2)
_SCRAPES = 4
_LOOK_EVERY = 0.5
_GROUP = "rule_group"


@dataclass(frozen=True, slots=True)
class _Cost:
    series: int
    rules: int
    loading: float
    """Seconds, the first time."""
    reloading: float
    """Seconds, when nothing has changed."""
    evaluation: float
    """Seconds that all groups took, one after the other."""
    longest: float
    """Seconds of the group that took longest."""
    processor: float
    """Seconds of processor time for one evaluation of all groups."""
    missed: float
    """Evaluations that were left out because the one before was not over."""


async def measure(sizes: tuple[int, ...] = SIZES) -> list[Row]:
    """Loading and evaluation at each size, beside a quarter of it, and beside the interval there is for it."""
    tools = monitoring_tools(ToolboxSettings.from_environment())
    found = {size: await _cost(tools, size) for size in sizes}
    first = found[sizes[0]]
    rows: list[Row] = []
    for size, cost in found.items():
        share, name = size / sizes[0], f"Prometheus with the rules of {size} Services"
        peer = f"{sizes[0]} Services, times {share:g}"
        for what, ours, theirs in (
            (f"{cost.series:,} series, evaluation of all {cost.rules:,} rules", cost.evaluation, first.evaluation),
            ("processor time of an evaluation", cost.processor, first.processor),
            ("loading", cost.loading, first.loading),
            ("loading them unchanged", cost.reloading, first.reloading),
        ):
            rows.append(Row(f"{name}: {what}", "s", ours, peer, theirs * share, theirs * share / ours))
        bar = SHIPPED_INTERVAL.total_seconds()
        rows.append(Row(f"{name}: slowest group", "s", cost.longest, "interval", bar, bar / cost.longest))
        rows.append(Row(f"{name}: evaluations missed", "evaluations", cost.missed))
    return rows


async def _cost(tools: MonitoringTools, size: int) -> _Cost:
    objects = objects_of(size)
    monitoring = Monitoring(
        ScrapeProfile(ScrapeKind.POD_MONITOR), retention=timedelta(days=15), evaluation=SHIPPED_INTERVAL
    )
    groups = [group for _, rendered in rules_of(objects, monitoring) for group in rendered.groups]
    with tempfile.TemporaryDirectory(prefix="steward-rules-") as folder:
        async with MeshSeries(objects) as mesh:
            jobs = (StaticJob("linkerd-proxy", (mesh.address,)),)
            interval = _INTERVAL_OF_500 * size / 500
            scraping = PrometheusOptions(jobs, scrape_interval=_SCRAPE_EVERY, evaluation_interval=interval)
            async with Prometheus(tools, scraping) as prometheus:
                await mesh.scraped(_SCRAPES)
                _write(Path(folder), groups, interval)
                prometheus.configure(replace(scraping, jobs=(), rules=Path(folder)))
                return await _evaluated(prometheus, groups, (mesh.series, interval))


async def _evaluated(prometheus: Prometheus, groups: list[Group], over: tuple[int, timedelta]) -> _Cost:
    series, interval = over
    loading = await _reload(prometheus)
    before = await _page(prometheus)
    # The first evaluation finds nothing of what other rules record.
    while not all(before.groups("prometheus_rule_group_iterations_total").values()):
        await asyncio.sleep(_LOOK_EVERY)  # noqa: TID251 - a real process evaluates
        before = await _page(prometheus)
    await asyncio.sleep(interval.total_seconds())  # noqa: TID251 - as long as one evaluation of everything
    after = await _page(prometheus)
    reloading = await _reload(prometheus)
    took = after.groups("prometheus_rule_group_last_duration_seconds")
    _prove(after, groups)
    return _Cost(
        series=series,
        rules=sum(len(group.rules) for group in groups),
        loading=loading,
        reloading=reloading,
        evaluation=sum(took.values()),
        longest=max(took.values()),
        processor=after.total("process_cpu_seconds_total") - before.total("process_cpu_seconds_total"),
        missed=after.total("prometheus_rule_group_iterations_missed_total"),
    )


async def _reload(prometheus: Prometheus) -> float:
    began = time.perf_counter()
    await prometheus.reload()
    return time.perf_counter() - began


def _write(folder: Path, groups: Iterable[Group], interval: timedelta) -> None:
    files: dict[str, list[Group]] = {}
    for group in groups:
        files.setdefault(group.name.partition("/")[0], []).append(replace(group, interval=interval))
    for name, members in files.items():
        (folder / f"{name}.yaml").write_text(render_yaml(rule_document(members)))


@dataclass(frozen=True, slots=True)
class _Page:
    """What Prometheus says of itself."""

    samples: Mapping[tuple[str, str], float]
    """Name of a metric and group → value."""

    def groups(self, name: str) -> dict[str, float]:
        """By group of rules."""
        return {group: value for (metric, group), value in self.samples.items() if metric == name}

    def total(self, name: str) -> float:
        """Of all groups."""
        return sum(self.groups(name).values())


async def _page(prometheus: Prometheus) -> _Page:
    async with aiohttp.ClientSession() as session, session.get(f"{prometheus.url}/metrics") as answer:
        found = text_string_to_metric_families(await answer.text())
        return _Page(
            {(each.name, each.labels.get(_GROUP, "")): each.value for family in found for each in family.samples}
        )


def _prove(page: _Page, groups: list[Group]) -> None:
    assert len(page.groups("prometheus_rule_group_last_duration_seconds")) == len(groups), "groups are missing"
    failed = {name for name, count in page.groups("prometheus_rule_evaluation_failures_total").items() if count}
    assert not failed, f"evaluations failed: {sorted(failed)}"
    found = page.groups("prometheus_rule_group_last_evaluation_samples")
    assert all(found.values()), f"groups without a result: {sorted(name for name in found if not found[name])}"
