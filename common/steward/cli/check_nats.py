"""What NATS says of itself: reached as every command reaches it."""

from contextlib import aclosing

from pydantic import ValidationError

from steward.bus.client import Bus
from steward.bus.errors import StreamMissing
from steward.bus.streams import DEAD_LETTERS, EVENTS
from steward.cli.check_facts import NatsFact, Seen, Sight, Unseen
from steward.cli.connection import bus
from steward.cli.explain import first_problem
from steward.cli.options import Session
from steward.errors import StewardError
from steward.events.subjects import subject_filter
from steward.kube.client import Kube

_NOBODY = "check"


async def nats_fact(session: Session, kube: Kube, nats: str) -> Sight[NatsFact]:
    """Version and streams of the NATS in use, or why it cannot be asked."""
    try:
        async with bus(session, nats, kube=kube) as connected:
            missing: list[str] = []
            if not await _has_events(connected):
                missing.append(EVENTS.name)
            given_up = await _dead_letters(connected)
            if given_up is None:
                missing.append(DEAD_LETTERS.name)
            return Seen(NatsFact(connected.server_version, tuple(missing), given_up or 0))
    except StewardError as error:
        return Unseen(str(error))
    except ValidationError as error:
        return Unseen(first_problem(error))


async def _has_events(connected: Bus) -> bool:
    """A reader of a subject that nobody uses finds the stream, and nothing in it."""
    try:
        async with aclosing(connected.tail(subject_filter(_NOBODY, cluster=_NOBODY), follow=False)) as nothing:
            async for _ in nothing:
                break
    except StreamMissing:
        return False
    return True


async def _dead_letters(connected: Bus) -> int | None:
    try:
        async with aclosing(connected.dead_letters.list()) as letters:
            return sum([1 async for _ in letters])
    except StreamMissing:
        return None
