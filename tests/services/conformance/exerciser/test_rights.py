"""What the NATS users of agents and service must be allowed: these subjects, and no other."""

from pathlib import Path

import pytest
from pydantic import SecretStr

from services.conformance.core.orders import Lookup, Refused
from services.conformance.edges.agents import Agents
from services.conformance.exerciser.settings import Role
from steward.bus.client import Bus
from steward.bus.errors import BusRefused
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.testing.nats import NatsServer, NatsUser
from tests.services.conformance.cast import AMPLE, CLUSTER, RUN, Cast

AGENT = NatsUser(
    "agent",
    "a",
    subscribe=("_INBOX_agent.>", "steward.orders.v1.*.>"),
    publish=("$JS.API.INFO", "steward.agents.v1.*.>", "steward.results.v1.*.agents.>"),
    answers=True,
)
SERVICE = NatsUser(
    "conformance",
    "c",
    subscribe=("_INBOX_conformance.>", "steward.agents.v1.*.>", "steward.results.v1.*.agents.>"),
    publish=(
        "$JS.API.INFO",
        "$JS.API.CONSUMER.CREATE.STEWARD_RESULTS.*",
        "$JS.API.CONSUMER.MSG.NEXT.STEWARD_RESULTS.*",
        "$JS.API.CONSUMER.DELETE.STEWARD_RESULTS.*",
        "steward.orders.v1.*.>",
    ),
)


def known_as(server: NatsServer, user: NatsUser) -> BusSettings:
    """How a user connects."""
    return BusSettings(
        servers=(server.url,),
        cluster=CLUSTER,
        user=user.name,
        password=SecretStr(user.password),
        inbox_prefix=f"_INBOX_{user.name}",
    )


async def test_orders_and_reports_need_no_other_rights_than_these(tmp_path: Path) -> None:
    everything = NatsUser("everything", "e")
    async with NatsServer(users=(everything, AGENT, SERVICE)) as server:
        maker = await Bus.connect(known_as(server, everything), name="maker", clock=SystemClock())
        await maker.reconcile()
        await maker.close()
        bus = await Bus.connect(known_as(server, SERVICE), name="conformance", clock=SystemClock())
        try:
            async with Agents(bus, SystemClock()).listening() as agents:
                cast = Cast(known_as(server, AGENT), agents, tmp_path, SystemClock())
                async with cast.playing("cm-0", roles=(Role.AGENT,)):
                    report = await agents.do(RUN, "cm-0", Lookup(name="x"), deadline=AMPLE, order="1")
                    await agents.stop(RUN, "cm-0", "none")
                    assert await agents.reported(RUN, "1") == report
                    assert not isinstance(report.seen, Refused)
        finally:
            await bus.close()


async def test_an_agent_hears_nothing_but_orders() -> None:
    async with NatsServer(users=(AGENT,)) as server:
        bus = await Bus.connect(known_as(server, AGENT), name="agent", clock=SystemClock())
        try:
            with pytest.raises(BusRefused, match="permissions in NATS"):
                async with Agents(bus, SystemClock()).listening():
                    pass
        finally:
            await bus.close()
