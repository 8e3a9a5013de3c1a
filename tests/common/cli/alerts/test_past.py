"""`alerts history` and `alerts watch`, from outside, against a real NATS."""

import asyncio
import json
import os
import pty
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.cli.alerts.incidents import folded
from steward.cli.marks import BAD, GOOD
from steward.clock import SystemClock
from steward.events.alerts import AlertEvent, AlertFiring, AlertResolved
from steward.events.base import Envelope, Event, enclose
from steward.jsonvalue import dig, rows, text
from steward.testing.command import EXECUTABLE, Command
from steward.testing.events import MOMENT, build
from steward.testing.nats import NatsServer

NOW = datetime.now(UTC)  # noqa: TID251 - the command reads the wall clock too
MINUTE = timedelta(minutes=1)


def said(event: AlertEvent, cluster: str = "east") -> Envelope[Event]:
    moment = event.until if isinstance(event, AlertResolved) else event.since
    id = f"{event.name}/{event.fingerprint}/{event.since:%H%M%S}"
    return enclose(event, id=id, cluster=cluster, service="alerting", time=moment)


def firing(alert: str, ago: timedelta, *, namespace: str = "shop", severity: str = "critical") -> AlertFiring:
    return build(
        AlertFiring,
        alert=alert,
        severity=severity,
        labels={"namespace": namespace},
        since=NOW - ago,
        summary=f"{alert} in {namespace}",
        fingerprint=f"{abs(hash((alert, namespace))) % 16**16:016x}",
    )


def resolved(begun: AlertFiring, ago: timedelta) -> AlertResolved:
    return AlertResolved.model_validate({**begun.model_dump(), "until": NOW - ago})


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    connected = await Bus.connect(BusSettings(servers=(nats.url,)), name="test", clock=SystemClock())
    await connected.reconcile()
    yield connected
    await connected.close()


async def _a_bad_week(bus: Bus) -> None:
    old, open_one = firing("OldTrouble", 9 * 24 * 60 * MINUTE), firing("LongTrouble", 20 * 24 * 60 * MINUTE)
    short = firing("ShortTrouble", 30 * MINUTE, namespace="web", severity="warning")
    for each in (open_one, old, resolved(old, 8 * 24 * 60 * MINUTE), short, resolved(short, 18 * MINUTE)):
        await bus.publish(said(each))


async def test_history_tells_what_was_and_how_long_it_lasted(cli: Command, bus: Bus) -> None:
    await _a_bad_week(bus)
    answer = await cli("alerts", "history")
    assert (answer.code, answer.err) == (0, "")
    assert "OldTrouble" not in answer.out, "it was over before the last seven days"
    short, long = (next(line for line in answer.out.splitlines() if each in line) for each in ("ShortT", "LongT"))
    assert "12m00s" in short
    assert "warning" in short
    assert "20d00h, not over" in long
    as_json = json.loads((await cli("alerts", "history", "--since", "all", "-o", "json")).out)
    assert [text(each, "alert") for each in rows(as_json, "items")] == ["LongTrouble", "OldTrouble", "ShortTrouble"]
    assert dig(as_json, "items", 2, "seconds") == 720


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--alert", "ShortTrouble"), ["ShortTrouble"]),
        (("--namespace", "web"), ["ShortTrouble"]),
        (("--since", "5m"), ["LongTrouble"]),
        (("--since", "all", "--namespace", "shop"), ["LongTrouble", "OldTrouble"]),
        (("--alert", "NoTrouble"), []),
    ],
)
async def test_incidents_are_chosen_by_flags(
    cli: Command, bus: Bus, arguments: tuple[str, ...], found: list[str]
) -> None:
    await _a_bad_week(bus)
    answer = await cli("alerts", "history", "-o", "json", *arguments)
    assert answer.code == 0, answer.err
    assert [text(each, "alert") for each in rows(json.loads(answer.out), "items")] == found


@pytest.mark.usefixtures("bus")
async def test_a_quiet_week_is_said_to_be_one(cli: Command) -> None:
    answer = await cli("alerts", "history")
    assert (answer.code, answer.out) == (0, "")
    assert "no alert fired since" in answer.err


@pytest.mark.parametrize(
    ("since", "said"), [("yesterday", "is neither a duration nor a time"), ("2999-01-01T00:00Z", "lies ahead")]
)
async def test_a_time_that_cannot_be_meant_is_refused(cli: Command, since: str, said: str) -> None:
    for command in ("history", "watch"):
        answer = await cli("alerts", command, "--since", since, STEWARD_NATS="nats://127.0.0.1:1")
        assert answer.code == 2
        assert said in answer.err


async def test_alerts_are_lines_as_they_come(cli: Command, bus: Bus) -> None:
    first, second = firing("WebFails", 3 * MINUTE), firing("OtherFails", MINUTE, namespace="other")
    process = await cli.start("alerts", "watch", "--since", "all", "--namespace", "shop", "--count", "2")
    await bus.publish(said(first))
    await bus.publish(said(second))
    assert process.stdout is not None
    line = (await process.stdout.readline()).decode()
    assert line.split()[2:6] == ["firing", "critical", "WebFails", "shop"]
    await bus.publish(said(resolved(first, timedelta())))
    out, err = await process.communicate()
    assert process.returncode == 0
    assert out.decode().split()[2:7] == ["resolved", "critical", "WebFails", "shop", "after"]
    assert err == b""


async def test_a_terminal_shows_what_fires_and_what_is_over(cli: Command, bus: Bus) -> None:
    begun = firing("WebFails", 3 * MINUTE)
    await bus.publish(said(begun))
    master, slave = pty.openpty()
    variables = {"PATH": os.defpath, "HOME": str(cli.home), "TERM": "xterm-256color", "COLUMNS": "100", **cli.env}
    process = await asyncio.create_subprocess_exec(
        str(EXECUTABLE),
        "alerts",
        "watch",
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env=variables,
        start_new_session=True,
    )
    os.close(slave)
    shown = bytearray()
    more = asyncio.Event()

    def read() -> None:
        try:
            shown.extend(os.read(master, 65536))
        except OSError:
            asyncio.get_running_loop().remove_reader(master)
        more.set()

    asyncio.get_running_loop().add_reader(master, read)

    async def shows(words: str) -> None:
        while words.encode() not in shown:
            more.clear()
            await more.wait()

    try:
        await shows(f"{BAD} 1 firing")
        await bus.publish(said(resolved(begun, timedelta())))
        await shows(f"{GOOD} nothing fires")
        await shows("Over lately:")
        process.send_signal(signal.SIGINT)
        assert await process.wait() == 130
    finally:
        asyncio.get_running_loop().remove_reader(master)
        if process.returncode is None:
            process.kill()
            await process.wait()
        os.close(master)


def _event(kind: type[AlertEvent], since: int, until: int | None = None) -> Envelope[Event]:
    given = {"until": MOMENT + until * MINUTE} if until is not None else {}
    return said(build(kind, alert="A", fingerprint="0" * 16, since=MOMENT + since * MINUTE, **given))


@pytest.mark.parametrize(
    ("events", "spans"),
    [
        pytest.param([_event(AlertFiring, 0)], [(0, None)], id="begun"),
        pytest.param([_event(AlertFiring, 0), _event(AlertFiring, 0)], [(0, None)], id="told twice"),
        pytest.param([_event(AlertFiring, 0), _event(AlertResolved, 0, 5)], [(0, 5)], id="over"),
        pytest.param([_event(AlertResolved, 0, 5)], [(0, 5)], id="its beginning is forgotten"),
        pytest.param([_event(AlertResolved, 0, 5), _event(AlertFiring, 0)], [(0, 5)], id="told in the wrong order"),
        pytest.param(
            [_event(AlertFiring, 0), _event(AlertResolved, 0, 5), _event(AlertFiring, 9)],
            [(0, 5), (9, None)],
            id="again",
        ),
        pytest.param([_event(AlertFiring, 0), _event(AlertFiring, 9)], [(0, None), (9, None)], id="no end was told"),
        pytest.param([_event(AlertFiring, 9), _event(AlertResolved, 0, 5)], [(9, None)], id="an older end comes late"),
    ],
)
def test_events_become_incidents(events: list[Envelope[Event]], spans: list[tuple[int, int | None]]) -> None:
    found = [(each.said.since, each.until) for each in folded(events)]
    wanted = [(MOMENT + begin * MINUTE, MOMENT + end * MINUTE if end is not None else None) for begin, end in spans]
    assert found == wanted
