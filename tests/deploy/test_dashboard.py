"""The Grafana dashboards: readable, laid out without overlaps, and about metrics that exist."""

import json
import re
from itertools import combinations

import pytest
import yaml

from services.together import MEMBERS
from steward.jsonvalue import Json, JsonObject, dig, rows, strings, text, whole
from steward.service.instruments import MetricType
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.verdict import Promtool
from tests.deploy import promql
from tests.deploy.kustomize import DEPLOY

_COLUMNS = 24
_FOLDER = DEPLOY / "dashboards"
DASHBOARDS: dict[str, JsonObject] = {
    path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(_FOLDER.glob("*.json"))
}

each_dashboard = pytest.mark.parametrize("found", DASHBOARDS.values(), ids=DASHBOARDS)


def panels(found: JsonObject) -> list[JsonObject]:
    return rows(found, "panels")


def expressions(found: JsonObject) -> list[tuple[str, str]]:
    return [
        (text(panel, "title"), text(target, "expr")) for panel in panels(found) for target in rows(panel, "targets")
    ]


def shown(found: JsonObject) -> set[str]:
    return {name for _, expression in expressions(found) for name in promql.read(expression)}


@each_dashboard
def test_every_metric_in_it_exists(found: JsonObject) -> None:
    assert shown(found) - set(promql.series()) == set()


def test_what_matters_is_shown() -> None:
    assert shown(DASHBOARDS["linkerd-steward"]) >= {
        "steward_version_watcher_control_plane_info",
        "steward_version_watcher_head_info",
        "steward_version_watcher_source_last_success_timestamp_seconds",
        "steward_version_watcher_drifts",
        "steward_version_watcher_event_loop_lag_seconds",
        "steward_upgrader_run_info",
        "steward_upgrader_step_duration_seconds_bucket",
        "steward_upgrader_workloads",
        "steward_upgrader_proxy_pods",
        "steward_upgrader_bus_connected",
    }


@pytest.mark.parametrize("service", ["alerting", "conformance"])
def test_everything_that_a_service_tells_is_shown_on_its_own_dashboard(service: str) -> None:
    (metrics,) = (member.metrics for member in MEMBERS if member.name == service)
    own = {f"{each.name}_bucket" if each.type is MetricType.HISTOGRAM else each.name for each in metrics}
    assert own - shown(DASHBOARDS[f"linkerd-steward-{service}"]) == set()


@pytest.mark.monitoring
@each_dashboard
async def test_every_query_is_one_that_prometheus_reads(found: JsonObject, monitoring_tools: MonitoringTools) -> None:
    queries = [expression.replace("$__rate_interval", "5m") for _, expression in expressions(found)]
    rules: list[Json] = [{"record": f"query_{number}", "expr": query} for number, query in enumerate(queries)]
    verdict = await Promtool(monitoring_tools).check_rules(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    assert verdict.ok, verdict.output


@each_dashboard
def test_series_are_grouped_by_labels_that_they_have(found: JsonObject) -> None:
    for title, expression in expressions(found):
        assert promql.unknown_labels(expression) == set(), title


@each_dashboard
def test_legends_name_labels_that_are_left_after_grouping(found: JsonObject) -> None:
    for panel in panels(found):
        for target in rows(panel, "targets"):
            left = promql.labels_left(text(target, "expr"))
            named = set(re.findall(r"{{(\w+)}}", text(target, "legendFormat")))
            assert named <= left, f"{text(panel, 'title')}: {named - left}"


@each_dashboard
def test_counters_are_shown_as_changes_and_never_as_totals(found: JsonObject) -> None:
    for title, expression in expressions(found):
        assert promql.totals_as_they_are(expression, r"\$__rate_interval") == set(), title


@each_dashboard
def test_every_panel_has_a_title_a_description_a_unit_and_the_chosen_source(found: JsonObject) -> None:
    assert len({whole(panel, "id") for panel in panels(found)}) == len(panels(found))
    for panel in panels(found):
        assert text(panel, "title")
        if text(panel, "type") == "row":
            continue
        assert text(panel, "description").endswith("."), text(panel, "title")
        assert text(panel, "fieldConfig", "defaults", "unit")
        assert text(panel, "datasource", "uid") == "${datasource}"
        assert rows(panel, "targets")
    (variable,) = rows(found, "templating", "list")
    assert (text(variable, "name"), text(variable, "query")) == ("datasource", "prometheus")


@each_dashboard
def test_panels_fill_the_grid_without_overlaps_or_holes(found: JsonObject) -> None:
    cells: dict[tuple[int, int], str] = {}
    for panel in panels(found):
        x, y, width, height = (whole(panel, "gridPos", each) for each in ("x", "y", "w", "h"))
        assert 0 <= x < x + width <= _COLUMNS
        for cell in ((column, row) for column in range(x, x + width) for row in range(y, y + height)):
            assert cell not in cells, f"{text(panel, 'title')} lies over {cells[cell]}"
            cells[cell] = text(panel, "title")
    lowest = max(row for _, row in cells)
    assert len(cells) == _COLUMNS * (lowest + 1)


@pytest.mark.parametrize("name", DASHBOARDS)
def test_it_is_a_dashboard_that_can_be_found_and_provisioned(name: str) -> None:
    found = DASHBOARDS[name]
    assert text(found, "uid") == name
    assert "linkerd-steward" in strings(dig(found, "tags"))
    assert whole(found, "schemaVersion") >= 39
    titles = [text(panel, "title") for panel in panels(found)]
    assert [one for one, other in combinations(sorted(titles), 2) if one == other] == []
    listed = yaml.safe_load((_FOLDER / "kustomization.yaml").read_text(encoding="utf-8"))
    (files,) = [strings(dig(each, "files")) for each in rows(listed, "configMapGenerator")]
    assert files == sorted(f"{each}.json" for each in DASHBOARDS)
