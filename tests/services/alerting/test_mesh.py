"""The pack for the control plane on the pages of real versions: silent while all is well, loud about what is not."""

from collections.abc import Callable, Set
from dataclasses import dataclass
from pathlib import Path

import pytest

from steward.alerting.pack import shipped_pack
from steward.events.alerts import AlertEvent, AlertFiring, AlertResolved
from steward.jsonvalue import Json, JsonObject
from steward.linkerd.knowledge import shipped
from steward.linkerd.version import Version
from steward.testing.linkerd_pages.faults import Fault
from steward.testing.monitoring.mail import Mail, SmtpSink
from steward.testing.monitoring.tools import MonitoringTools
from steward.testing.monitoring.webhooks import Post, WebhookSink
from tests.services.alerting.meshed import Meshed, meshed_world
from tests.services.alerting.running import HOME
from tests.services.alerting.windows import whole_window

pytestmark = pytest.mark.monitoring

NEWEST = Version.parse("edge-26.8.3")
OLDEST = next(each.edge for each in shipped().logical if each.name == "2.16")
VERSIONS = [*(each.edge for each in shipped().logical if each.name != "2.15"), NEWEST]
MACHINES = {"Watchdog", "LinkerdUpgradeInProgress"}
PACK: JsonObject = {"controlPlane": {}}


@dataclass(frozen=True)
class Loud:
    """What a fault makes fire, and nothing else of the pack. `told`: the one of them that people are told of."""

    told: str
    fires: frozenset[str]
    gauges: bool = False
    """Whether it is over as soon as it is mended; what counts within a window is over when the window is."""


def loud(told: str, *others: str, gauges: bool = False) -> Loud:
    return Loud(told, frozenset({told, *others}), gauges)


LOUD: dict[Fault, Loud] = {
    Fault.EXPIRED_LEAVES: loud("LinkerdProxyCertificateExpired", "LinkerdProxyCertificateNotRenewing", gauges=True),
    Fault.PROXIES_ISOLATED: loud("LinkerdProxyNoDestinationEndpoints", gauges=True),
    Fault.ISSUER_EXPIRING: loud("LinkerdIssuerCertificateExpiring", gauges=True),
    Fault.IDENTITY_UNREACHABLE: loud("LinkerdProxyCertificateRejected"),
    Fault.ISSUANCE_FAILING: loud("LinkerdIdentityIssuanceFailing"),
    Fault.DESTINATION_ERRORS: loud("LinkerdDestinationErrors"),
    Fault.CONTROL_PLANE_ERRORS: loud("LinkerdControlPlaneSuccessRateLow"),
    Fault.INJECTOR_FAILS_OPEN: loud("LinkerdInjectorFailingOpen"),
    Fault.INJECTOR_BLOCKS: loud("LinkerdInjectorBlockingPods"),
}


async def alerts(meshed: Meshed) -> set[str]:
    """Names of all that pends or fires, the watchdog apart."""
    return {each.name for each in await meshed.around.prometheus.alerts()} - MACHINES


async def alerts_while_all_was_scraped(meshed: Meshed, evaluations: int) -> set[str]:
    """Names of all that pended or fired, the watchdog apart, in a time in which no scrape failed."""
    return set((await whole_window(meshed.around.prometheus, evaluations)).alerts) - MACHINES


def at_once() -> JsonObject:
    """The pack without patience: what pends for minutes is no other alert for that."""
    changes: list[Json] = [{"alert": alert.name, "forSeconds": 0} for alert in shipped_pack().alerts]
    return {"controlPlane": {"changes": changes}}


@pytest.mark.parametrize("version", VERSIONS, ids=str)
async def test_nothing_fires_or_pends_on_a_healthy_mesh_of_any_version(
    monitoring_tools: MonitoringTools, tmp_path: Path, version: Version
) -> None:
    async with meshed_world(monitoring_tools, tmp_path, version) as meshed, meshed.around.running():
        around = meshed.around
        around.policy("control-plane", PACK, HOME)
        await around.policy_says("control-plane", "InForce", "Applied", HOME)
        await around.policy_says("control-plane", "Sighted", "MetricsThere", HOME)
        assert await alerts_while_all_was_scraped(meshed, 8) == set()


# What each version in between is told of these faults, promtool tries in tests/common/alerting/test_cases.py.
@pytest.mark.parametrize("version", [OLDEST, NEWEST], ids=str)
async def test_each_fault_fires_its_alert_and_no_other_and_is_told_once_by_mail_by_chat_and_on_the_bus(
    monitoring_tools: MonitoringTools, tmp_path: Path, version: Version
) -> None:
    await each_fault_in_turn(monitoring_tools, tmp_path, version)


async def test_the_oldest_prometheus_and_alertmanager_tell_of_each_fault_of_the_newest_mesh_as_well(
    old_monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    # It drops what it evaluates before it has found Alertmanager, which only the pack's own patience overlooks.
    await each_fault_in_turn(old_monitoring_tools, tmp_path, NEWEST, but={"LinkerdAlertingPipelineBroken"})


async def each_fault_in_turn(
    tools: MonitoringTools, tmp_path: Path, version: Version, *, but: Set[str] = frozenset()
) -> None:
    """Put each fault in and mend it: what it fires, whom that is told and how often.

    `but`: alerts that may fire beside.
    """

    async def those(meshed: Meshed) -> set[str]:
        return await alerts(meshed) - but

    async with (
        SmtpSink() as mail,
        WebhookSink() as chat,
        meshed_world(tools, tmp_path, version) as meshed,
        meshed.around.running(),
    ):
        around = meshed.around
        around.secret("chat", {"url": f"{chat.url}/services/T0/B0/x"})
        around.channel(
            "mail",
            {
                "email": {
                    "to": ["ops@acme.test"],
                    "sender": "steward@acme.test",
                    "smarthost": mail.address,
                    "requireTls": False,
                },
                "groupWaitSeconds": 0,
                "groupIntervalSeconds": 1,
            },
        )
        around.channel(
            "chat",
            {
                "slack": {"webhook": {"name": "chat", "key": "url"}},
                "groupWaitSeconds": 0,
                "groupIntervalSeconds": 1,
            },
        )
        around.policy("control-plane", at_once(), HOME)
        await around.policy_says("control-plane", "InForce", "Applied", HOME)
        await around.channel_says("mail", "Applied")
        await around.channel_says("chat", "Applied")
        await around.policy_says("control-plane", "Sighted", "MetricsThere", HOME)
        await around.prometheus_until(lambda: those(meshed), lambda names: not names)
        counted: set[str] = set()
        for fault, expected in LOUD.items():
            meshed.break_it(fault)
            await around.prometheus_until(lambda: those(meshed), expected.fires.__le__)
            await around.event(AlertFiring, of(expected.told))
            # What is over before its first message goes out is never told.
            await chat.until(posted(expected.told))
            await mail.until(mailed(expected.told))
            if await those(meshed) != counted | expected.fires:
                assert await alerts_while_all_was_scraped(meshed, 2) - but == counted | expected.fires
            meshed.mend()
            if expected.gauges:
                await around.event(AlertResolved, of(expected.told))
                await around.prometheus_until(lambda: those(meshed), counted.__eq__)
            else:
                counted |= expected.fires
        told = [event.fingerprint for event in await around.events(AlertFiring)]
        assert len(told) == len(set(told)), "an alert was told twice"


def of(name: str) -> Callable[[AlertEvent], bool]:
    """Whether an event is about the alert of that name."""
    return lambda event: event.alert == name


def posted(name: str) -> Callable[[Post], bool]:
    """Whether a message in the chat is about it."""
    return lambda post: name in str(post.body)


def mailed(name: str) -> Callable[[Mail], bool]:
    """Whether a mail is about it."""
    return lambda mail: name in mail.subject
