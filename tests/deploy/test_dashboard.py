"""The Grafana dashboard: readable, laid out without overlaps, and about metrics that exist."""

import json
import re
from itertools import combinations

from services.together import MEMBERS
from steward.jsonvalue import JsonObject, dig, rows, strings, text, whole
from steward.service.chassis_metrics import ChassisMetrics
from steward.service.instruments import Metric, MetricType
from tests.deploy.kustomize import DEPLOY

_SHOWN = re.compile(r"\b(steward_[a-z_]+)\b")
_COLUMNS = 24


def dashboard() -> JsonObject:
    found: JsonObject = json.loads((DEPLOY / "dashboards/linkerd-steward.json").read_text(encoding="utf-8"))
    return found


def panels() -> list[JsonObject]:
    return rows(dashboard(), "panels")


def expressions() -> list[tuple[str, str]]:
    return [(text(panel, "title"), text(target, "expr")) for panel in panels() for target in rows(panel, "targets")]


def metrics() -> dict[str, Metric]:
    """Every series that the services expose."""
    declared = [metric for each in MEMBERS for metric in (*ChassisMetrics.of(each.name).all(), *each.metrics)]
    named = {metric.name: metric for metric in declared if metric.type is not MetricType.HISTOGRAM}
    for metric in declared:
        if metric.type is MetricType.HISTOGRAM:
            named |= {f"{metric.name}_{suffix}": metric for suffix in ("bucket", "sum", "count")}
    return named


def test_every_metric_in_it_exists() -> None:
    known = metrics()
    shown = {name for _, expression in expressions() for name in _SHOWN.findall(expression)}
    assert shown - set(known) == set()


def test_what_matters_is_shown() -> None:
    shown = {name for _, expression in expressions() for name in _SHOWN.findall(expression)}
    assert shown >= {
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


def test_series_are_grouped_by_labels_that_they_have() -> None:
    known, scraped = metrics(), {"le", "pod", "instance"}
    for title, expression in expressions():
        labels = {each for name in _SHOWN.findall(expression) for each in known[name].labels}
        grouped = {each.strip() for found in re.findall(r"by \(([^)]*)\)", expression) for each in found.split(",")}
        assert grouped <= labels | scraped, title


def test_legends_name_labels_that_are_left_after_grouping() -> None:
    for panel in panels():
        for target in rows(panel, "targets"):
            grouped = " ".join(re.findall(r"by \(([^)]*)\)", text(target, "expr")))
            for label in re.findall(r"{{(\w+)}}", text(target, "legendFormat")):
                assert re.search(rf"\b{label}\b", grouped), f"{text(panel, 'title')}: {label}"


def test_counters_are_shown_as_changes_and_never_as_totals() -> None:
    for title, expression in expressions():
        for name in _SHOWN.findall(expression):
            if name.endswith(("_total", "_bucket", "_count", "_sum")):
                assert re.search(rf"(rate|increase)\({name}\[\$__rate_interval\]\)", expression), title


def test_every_panel_has_a_title_a_description_a_unit_and_the_chosen_source() -> None:
    assert len({whole(panel, "id") for panel in panels()}) == len(panels())
    for panel in panels():
        assert text(panel, "title")
        if text(panel, "type") == "row":
            continue
        assert text(panel, "description").endswith("."), text(panel, "title")
        assert text(panel, "fieldConfig", "defaults", "unit")
        assert text(panel, "datasource", "uid") == "${datasource}"
        assert rows(panel, "targets")
    (variable,) = rows(dashboard(), "templating", "list")
    assert (text(variable, "name"), text(variable, "query")) == ("datasource", "prometheus")


def test_panels_fill_the_grid_without_overlaps_or_holes() -> None:
    cells: dict[tuple[int, int], str] = {}
    for panel in panels():
        x, y, width, height = (whole(panel, "gridPos", each) for each in ("x", "y", "w", "h"))
        assert 0 <= x < x + width <= _COLUMNS
        for cell in ((column, row) for column in range(x, x + width) for row in range(y, y + height)):
            assert cell not in cells, f"{text(panel, 'title')} lies over {cells[cell]}"
            cells[cell] = text(panel, "title")
    lowest = max(row for _, row in cells)
    assert len(cells) == _COLUMNS * (lowest + 1)


def test_it_is_a_dashboard_that_can_be_found_and_provisioned() -> None:
    found = dashboard()
    assert text(found, "uid") == "linkerd-steward"
    assert "linkerd-steward" in strings(dig(found, "tags"))
    assert whole(found, "schemaVersion") >= 39
    titles = [text(panel, "title") for panel in panels()]
    assert [one for one, other in combinations(sorted(titles), 2) if one == other] == []
