"""Rules put to the test by promtool: series over time, and which alerts fire at the end of it."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from steward.alerting.objectives.rendering import RenderedPolicy
from steward.alerting.rules import rule_document
from steward.jsonvalue import Json, JsonObject
from steward.testing.monitoring.verdict import Promtool

CLIENT = {"job": "linkerd-proxy", "namespace": "clients", "pod": "client-1"}
PARENT = {
    "parent_group": "core",
    "parent_kind": "Service",
    "parent_namespace": "shop",
    "parent_name": "web",
    "parent_port": "8080",
    "parent_section_name": "",
}
DEFAULT_ROUTE = {"route_group": "", "route_kind": "default", "route_namespace": "", "route_name": "http"}


@dataclass(frozen=True, slots=True)
class Series:
    """A counter, in one sample a minute."""

    metric: str
    labels: Mapping[str, str]
    a_minute: float
    """By which it goes up."""
    minutes: int = 120
    begins: int = 0
    """Minutes without a sample before the first one, which is then one step high as a counter that just appeared."""

    def render(self) -> JsonObject:
        """As promtool reads it."""
        labels = ", ".join(f"{name}={json.dumps(value)}" for name, value in self.labels.items())
        start = f"_x{self.begins} {self.a_minute:g}" if self.begins else "0"
        steps = self.minutes - self.begins
        return {"series": f"{self.metric}{{{labels}}}", "values": f"{start}+{self.a_minute:g}x{steps}"}


def answers(
    status: str, a_minute: float, *, error: str = "", route: Mapping[str, str] = DEFAULT_ROUTE, **more: int
) -> Series:
    """Answers to clients of the Service `web`, by an HTTPRoute or by the default route."""
    labels = {**CLIENT, **PARENT, **route, "hostname": "", "http_status": status, "error": error}
    return Series("outbound_http_route_request_statuses_total", labels, a_minute, **more)


def document(series: Sequence[Series], at: int, expected: Sequence[Mapping[str, str]]) -> JsonObject:
    """The unit test that at minute `at` these alerts fire."""
    samples: list[Json] = [
        {"labels": f"{{{', '.join(f'{k}={json.dumps(v)}' for k, v in sorted(each.items()) if v)}}}", "value": 1}
        for each in expected
    ]
    asked: JsonObject = {
        "expr": 'count by (alertname, severity, route, burn) (ALERTS{alertstate="firing"})',
        "eval_time": f"{at}m",
        "exp_samples": samples,
    }
    test: JsonObject = {
        "interval": "1m",
        "input_series": [each.render() for each in series],
        "promql_expr_test": [asked],
    }
    return {"evaluation_interval": "1m", "tests": [test]}


async def fires(
    promtool: Promtool,
    rendered: RenderedPolicy,
    series: Sequence[Series],
    *expected: Mapping[str, str],
    at: int = 120,
    every: int = 1,
) -> None:
    """Exactly these alerts fire at minute `at`; the rules load, and the linter has nothing against them."""
    rules = json.dumps(rule_document(rendered.groups))
    checked = await promtool.check_rules(rules, lint=True)
    assert checked.ok, checked.output
    # promtool takes groups in any order, unless it is told one.
    order: list[Json] = [group.name for group in rendered.groups]
    asked = {**document(series, at, expected), "evaluation_interval": f"{every}m", "group_eval_order": order}
    tested = await promtool.test_rules(asked, rules)
    assert tested.ok, tested.output
