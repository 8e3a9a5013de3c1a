"""Private servers are real ones: they start, refuse, reload, die and come back as those of a cluster do."""

import asyncio
from datetime import timedelta
from pathlib import Path

import pytest

from steward.clock import SystemClock
from steward.errors import ToolError
from steward.testing.monitoring.alertmanager import Alertmanager
from steward.testing.monitoring.daemon import ReloadRefused
from steward.testing.monitoring.prometheus import Prometheus, PrometheusOptions, StaticJob
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.waiting import eventually

pytestmark = pytest.mark.monitoring

_RULE = "groups: [{name: mesh, rules: [{alert: NAME, expr: EXPR}]}]"
_QUIET = "{route: {receiver: nobody}, receivers: [{name: nobody}]}"


async def _empty(alertmanager: Alertmanager) -> bool:
    return not await alertmanager.alerts()


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A folder with one rule that always fires."""
    folder = tmp_path / "rules"
    folder.mkdir()
    _write(folder, "First")
    return folder


def _write(folder: Path, name: str, expr: str = "vector(1)") -> None:
    (folder / "mesh.yaml").write_text(_RULE.replace("NAME", name).replace("EXPR", expr))


async def test_a_broken_rule_file_is_refused_and_the_old_rules_stay(
    each_monitoring_tools: MonitoringTools, rules: Path
) -> None:
    async with Prometheus(each_monitoring_tools, PrometheusOptions(rules=rules)) as prometheus:
        _write(rules, "Second", "vector(")
        with pytest.raises(
            ReloadRefused, match=r"prometheus keeps its old configuration, 500: failed to reload config"
        ):
            await prometheus.reload()
        assert await prometheus.rules() == ("First",)

        _write(rules, "Third")
        await prometheus.reload()
        assert await prometheus.rules() == ("Third",)


async def test_killed_and_started_again_it_has_its_port_and_its_data(each_monitoring_tools: MonitoringTools) -> None:
    async with Prometheus(each_monitoring_tools) as prometheus:
        scraping = PrometheusOptions(jobs=(StaticJob("itself", (prometheus.address,), (("mesh", "m1"),)),))
        prometheus.configure(scraping)
        await prometheus.reload()
        await eventually("sample", lambda: prometheus.query('up{job="itself", mesh="m1"} == 1'))
        scraped = SystemClock().now()
        url = prometheus.url
        prometheus.configure(PrometheusOptions())

        await prometheus.kill()
        assert not prometheus.running
        await prometheus.start()

        assert prometheus.url == url
        (sample,) = await prometheus.query('up{job="itself"}', scraped)
        assert (sample.labels["mesh"], sample.value) == ("m1", 1.0)


async def test_a_fixed_target_that_is_not_there_is_down(each_monitoring_tools: MonitoringTools, rules: Path) -> None:
    _write(rules, "Down", "up == 0")
    jobs = (StaticJob("proxy", ("127.0.0.1:1",)),)
    async with Prometheus(each_monitoring_tools, PrometheusOptions(jobs=jobs, rules=rules)) as prometheus:
        (alert,) = await eventually("alert", prometheus.alerts)

    assert (alert.name, alert.state, alert.labels["job"]) == ("Down", "firing", "proxy")


async def test_the_old_configuration_of_alertmanager_stays_until_a_sound_one_comes(
    each_monitoring_tools: MonitoringTools,
) -> None:
    async with Alertmanager(each_monitoring_tools, _QUIET) as alertmanager:
        alertmanager.configure("{route: {receiver: everybody}}")
        with pytest.raises(ReloadRefused, match='undefined receiver "everybody" used in route'):
            await alertmanager.reload()
        await alertmanager.fire({"alertname": "ProxyDown"}, {"summary": "a proxy is down"})
        held = await eventually("alert", alertmanager.alerts)
        assert [(each.labels["alertname"], each.receivers) for each in held] == [("ProxyDown", ("nobody",))]
        assert held[0].annotations == {"summary": "a proxy is down"}

        await alertmanager.resolve({"alertname": "ProxyDown"}, SystemClock().now())
        await eventually("end of the alert", lambda: _empty(alertmanager))


async def test_a_server_that_cannot_start_says_why_and_leaves_nothing_behind(
    each_monitoring_tools: MonitoringTools,
) -> None:
    prometheus = Prometheus(each_monitoring_tools, PrometheusOptions(document="scrape_configs: 7"))

    with pytest.raises(ToolError, match=r"prometheus ended before it was ready:(?s:.*)cannot unmarshal !!int `7`"):
        await prometheus.start()
    await prometheus.close()

    assert not prometheus.running
    assert prometheus.log == ""


async def test_what_goes_wrong_beside_a_server_carries_its_log(monitoring_tools: MonitoringTools) -> None:
    alertmanager = Alertmanager(monitoring_tools, _QUIET)

    async def fail_beside_it() -> None:
        async with alertmanager:
            raise LookupError("of the test's own")

    with pytest.raises(LookupError) as caught:
        await fail_beside_it()
    assert f"--- alertmanager on {alertmanager.address} wrote:" in caught.value.__notes__[0]
    assert "Starting Alertmanager" in caught.value.__notes__[0]


async def test_a_query_that_prometheus_refuses_is_quoted(monitoring_tools: MonitoringTools) -> None:
    async with Prometheus(monitoring_tools) as prometheus:
        with pytest.raises(ToolError, match=r"/api/v1/query answered 400: .*parse error"):
            await prometheus.query("up{")


async def test_servers_side_by_side_do_not_meet(monitoring_tools: MonitoringTools) -> None:
    servers = [Alertmanager(monitoring_tools, _QUIET) for _ in range(3)]
    try:
        await asyncio.gather(*(server.start() for server in servers))
        await servers[0].fire({"alertname": "ProxyDown"})

        assert len({server.port for server in servers}) == 3
        assert [len(await server.alerts()) for server in servers] == [1, 0, 0]
    finally:
        for server in servers:
            await server.close()


async def test_waiting_for_what_never_comes_ends_with_the_last_answer(monitoring_tools: MonitoringTools) -> None:
    async with Alertmanager(monitoring_tools, _QUIET) as alertmanager:
        with pytest.raises(TimeoutError, match=r"no alert within 0\.2 s; the last answer was \(\)"):
            await eventually("alert", alertmanager.alerts, within=timedelta(milliseconds=200))
