"""`events`, `dead-letters` and `handlers`, from outside, against a real NATS."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
import yaml

from steward.bus.client import Bus
from steward.bus.delivery import Delivery
from steward.bus.settings import BusSettings
from steward.bus.streams import ConsumerSpec, Start
from steward.cli.events import line
from steward.cli.output import Format
from steward.clock import SystemClock
from steward.errors import Reject
from steward.events.upgrades import UpgradeFinished, UpgradeStepDone
from steward.events.versions import NewVersion
from steward.jsonvalue import rows, text
from steward.testing.command import Command
from steward.testing.events import build, enveloped
from steward.testing.nats import NatsServer

HANDLERS = """
from steward import NewVersion, Subscriber

subscriber = Subscriber("acme-notes")
something = 7


@subscriber.on(NewVersion)
async def note(event: NewVersion) -> None:
    print("heard", event.release, flush=True)
"""


@pytest.fixture
async def bus(nats: NatsServer) -> AsyncIterator[Bus]:
    """The bus with its streams, as the services leave it."""
    connected = await Bus.connect(BusSettings(servers=(nats.url,)), name="test", clock=SystemClock())
    await connected.reconcile()
    yield connected
    await connected.close()


async def _three_events(bus: Bus) -> None:
    await bus.publish(enveloped(build(NewVersion), cluster="east"))
    await bus.publish(enveloped(build(UpgradeStepDone, run="one"), cluster="east"))
    await bus.publish(enveloped(build(UpgradeFinished, run="two"), cluster="west"))


async def test_events_kept_so_far_are_lines_for_people(cli: Command, bus: Bus) -> None:
    await _three_events(bus)
    answer = await cli("events", "tail", "--no-follow")
    assert (answer.code, answer.err) == (0, "")
    lines = answer.out.splitlines()
    assert len(lines) == 3
    assert lines[0].startswith("2026-06-18 12:00:00  east  new-version ")
    assert "edge-26.8.3" in lines[0]


@pytest.mark.parametrize(
    ("arguments", "found"),
    [
        (("--event", "new-version"), ["new-version"]),
        (("--cluster", "west"), ["upgrade-finished"]),
        (("--key", "one"), ["upgrade-step-done"]),
        (("--since", "1h"), ["new-version", "upgrade-step-done", "upgrade-finished"]),
        (("--since", "2000-01-01", "--count", "2"), ["new-version", "upgrade-step-done"]),
        (("--key", "nobody"), []),
    ],
)
async def test_events_are_chosen_by_flags(cli: Command, bus: Bus, arguments: tuple[str, ...], found: list[str]) -> None:
    await _three_events(bus)
    answer = await cli("events", "tail", "--no-follow", "-o", "json", *arguments)
    assert answer.code == 0
    types = [text(json.loads(each), "type") for each in answer.out.splitlines()]
    assert types == [f"io.linkerd.steward.{name}.v1" for name in found]


async def test_events_to_come_are_printed_as_they_come(cli: Command, bus: Bus) -> None:
    await _three_events(bus)
    process = await cli.start("events", "tail", "--since", "all", "-o", "json")
    assert process.stdout is not None
    for _ in range(3):
        await process.stdout.readline()
    await bus.publish(enveloped(build(UpgradeFinished, run="three"), id="later"))
    assert json.loads(await process.stdout.readline())["id"] == "later"
    process.send_signal(signal.SIGINT)
    _, err = await process.communicate()
    assert process.returncode == 130
    assert b"Traceback" not in err


async def test_a_reader_that_has_enough_ends_the_command_quietly(cli: Command, bus: Bus) -> None:
    await _three_events(bus)
    process = await cli.start("events", "tail", "--since", "all")
    assert process.stdout is not None
    await process.stdout.readline()
    transport = getattr(process.stdout, "_transport")  # noqa: B009 (asyncio offers no other way to close our end)
    transport.close()
    await bus.publish(enveloped(build(UpgradeFinished, run="three"), id="later"))
    assert process.stderr is not None
    err = await process.stderr.read()
    assert await process.wait() == 0
    assert err == b""


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--event", "upgrade-done"), "--event 'upgrade-done' is no event"),
        (("--cluster", "Prod!"), "--cluster 'Prod!' is no name of a cluster"),
        (("--since", "yesterday"), "--since 'yesterday' is neither a duration nor a time"),
        (("--since", "2999-01-01T00:00Z"), "--since '2999-01-01T00:00Z' lies ahead"),
        (("--count", "-1"), "Invalid value for '--count'"),
        (("--nats", "http://x"), "a server is written nats://host:port"),
    ],
)
async def test_a_wrong_choice_has_an_answer_of_its_own(cli: Command, arguments: tuple[str, ...], said: str) -> None:
    answer = await cli("events", "tail", *arguments, STEWARD_NATS="nats://127.0.0.1:1")
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err


def test_an_event_is_written_in_every_format() -> None:
    envelope = enveloped(build(UpgradeFinished, message="all \x1b[31mwell"))
    assert "\x1b" not in line(envelope, Format.TABLE)
    assert line(envelope, Format.TABLE).endswith("all �[31mwell\n")
    assert json.loads(line(envelope, Format.JSON)) == yaml.safe_load(line(envelope, Format.YAML))
    assert line(envelope, Format.JSON).count("\n") == 1


async def _give_up(bus: Bus) -> None:
    """A consumer that rejects one event."""

    async def reject(_: Delivery) -> None:
        raise Reject("the ticket system knows no such queue")

    spec = ConsumerSpec(name="acme-tickets", filters=("steward.v1.*.new-version.>",), start=Start.ALL)
    await bus.reconcile((), (spec,))
    await bus.publish(enveloped(build(NewVersion)))
    consuming = asyncio.create_task(bus.consume(spec, reject))
    while not [letter async for letter in bus.dead_letters.list()]:
        await SystemClock().sleep(timedelta(milliseconds=20))
    consuming.cancel()


async def test_dead_letters_are_listed_shown_and_replayed(cli: Command, bus: Bus) -> None:
    assert (await cli("dead-letters", "list")).err == "there are no dead letters\n"
    await _give_up(bus)
    listed = await cli("dead-letters", "list")
    assert listed.code == 0
    assert "acme-tickets.1" in listed.out
    assert "the ticket system knows no such queue" in listed.out
    (letter,) = rows(json.loads((await cli("dead-letters", "list", "-o", "json")).out), "items")
    assert text(letter, "payload", "data", "release") == "edge-26.8.3"
    shown = await cli("dead-letters", "show", "acme-tickets.1")
    assert "linkerd-steward dead-letters replay acme-tickets.1" in shown.out
    assert '"release": "edge-26.8.3"' in shown.out
    replayed = await cli("dead-letters", "replay", "acme-tickets.1")
    assert replayed.code == 0
    assert replayed.err.endswith("1 delivered again\n")
    assert (await cli("dead-letters", "list")).err == "there are no dead letters\n"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("replay",), 2, "replay needs either IDs or --all"),
        (("replay", "a.1", "--all"), 2, "replay needs either IDs or --all"),
        (("replay", "nonsense"), 1, "'nonsense' names no dead letter: expected CONSUMER.SEQUENCE"),
        (("replay", "acme.9"), 1, "there is no dead letter 'acme.9'"),
        (("show", "acme.9"), 1, "there is no dead letter 'acme.9'"),
    ],
)
@pytest.mark.usefixtures("bus")
async def test_a_letter_that_is_not_there_is_named(
    cli: Command, arguments: tuple[str, ...], code: int, said: str
) -> None:
    answer = await cli("dead-letters", *arguments)
    assert answer.code == code
    assert said in answer.err
    assert "Traceback" not in answer.err


@pytest.mark.parametrize("command", [("events", "tail", "--no-follow"), ("dead-letters", "list")])
@pytest.mark.usefixtures("nats")
async def test_streams_that_nobody_made_yet_are_explained(cli: Command, command: tuple[str, ...]) -> None:
    answer = await cli(*command)
    assert answer.code == 3
    assert "does not exist" in answer.err
    assert "linkerd steward check" in answer.err


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_handlers_run_until_they_are_told_to_stop(cli: Command, bus: Bus, number: signal.Signals) -> None:
    (cli.home / "notes.py").write_text(HANDLERS)
    process = await cli.start("handlers", "run", "notes:subscriber")
    assert process.stdout is not None
    assert process.stderr is not None
    while b" listens to " not in await process.stderr.readline():
        pass
    await bus.publish(enveloped(build(NewVersion)))
    # The subscriber's place may have been made after the event: each further one is heard at the latest.
    heard = asyncio.create_task(process.stdout.readline())
    count = 0
    while not heard.done():
        count += 1
        await bus.publish(enveloped(build(NewVersion), id=f"again/{count}"))
        await SystemClock().sleep(timedelta(milliseconds=50))
    assert heard.result() == b"heard edge-26.8.3\n"
    process.send_signal(number)
    _, err = await process.communicate()
    assert process.returncode == 0
    assert b"Traceback" not in err


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("notes", "'notes' names no subscriber: write module:attribute"),
        ("nosuch:subscriber", "there is no module 'nosuch'"),
        ("notes:nosuch", "it has notes:subscriber"),
        ("notes:something", "is 'int', not a Subscriber"),
    ],
)
@pytest.mark.usefixtures("nats")
async def test_a_subscriber_that_cannot_be_found_is_named(cli: Command, reference: str, said: str) -> None:
    (cli.home / "notes.py").write_text(HANDLERS)
    answer = await cli("handlers", "run", reference)
    assert answer.code == 2
    assert said in answer.err
    assert "Traceback" not in answer.err
