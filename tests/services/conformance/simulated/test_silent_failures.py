"""What breaks in a mesh without a word from Linkerd's own tools: found, named, and well again after the repair."""

import asyncio
import os
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from services.conformance.engine.runner import Outcome
from steward.conformance.results import Verdict
from steward.events.conformance import Rung
from steward.jsonvalue import JsonObject, text
from steward.kube.resources import CONFIG_MAPS
from steward.testing.dataplane.proxy import outbound_faults
from steward.testing.kubernetes.cluster import Patch
from steward.testing.linkerd.executable import write_cli
from steward.testing.nats import NatsServer
from tests.services.conformance.mutations import workloads as objects
from tests.services.conformance.simulated.theatre import LINKERD, Theatre, by_id, healthy, opened, told

_BRIEF, _USUAL = timedelta(seconds=4), timedelta(hours=24)
_HOME = "linkerd"
_RESTARTS = count(1)
Step = Callable[[Theatre], Awaitable[None]]


async def _nothing_else(theatre: Theatre) -> None:
    """There is no tool of Linkerd's that should have seen it."""
    del theatre


async def _check_is_green(theatre: Theatre) -> None:
    """`linkerd check --proxy` sees nothing of it."""
    # Pods of the simulation have loopback addresses, which nobody else's cluster network has.
    values = text(theatre.mesh.cluster.get(CONFIG_MAPS, "linkerd-config", _HOME), "data", "values")
    wider: JsonObject = {"data": {"values": values.replace("10.0.0.0/8", "127.0.0.0/8,10.0.0.0/8", 1)}}
    theatre.mesh.cluster.patch(CONFIG_MAPS, "linkerd-config", Patch("merge", wider), _HOME)
    with TemporaryDirectory() as folder:
        cli = write_cli(Path(folder), LINKERD)
        given = ("check", "--proxy", "--kubeconfig", str(theatre.mesh.kubernetes.kubeconfig()), "--wait", "5s")
        # The CLI calls whatever `linkerd-*` it finds on its path, and the one of this project reads another cluster.
        alone = {"PATH": os.defpath}
        process = await asyncio.create_subprocess_exec(cli, *given, stdout=PIPE, stderr=PIPE, env=alone)
        said, wrong = await process.communicate()
    assert process.returncode == 0, said.decode() + wrong.decode()


@dataclass(frozen=True, slots=True)
class Silent:
    """A failure that nobody tells of: how it comes about, who finds it, what it must be called, how it is repaired."""

    name: str
    breaks: Step
    finder: str
    code: str
    rung: Rung
    observed: str
    """Part of what the cause says it saw."""
    repair: Step
    meanwhile: Step = _nothing_else


def named(silent: Silent, outcome: Outcome) -> bool:
    """Whether the probe failed for this reason, said what it saw, and what to do."""
    found = outcome.result
    first = found.causes[0] if found.causes else None
    if found.verdict is not Verdict.FAILED or first is None or not (first.remedy and first.disproof):
        return False
    return (first.code, first.rung) == (silent.code, silent.rung) and silent.observed in first.observed


def decided_in_time(outcome: Outcome) -> bool:
    """Whether the verdict came from what was seen, not from a probe that ran into its own bound."""
    found = outcome.result
    bound = by_id(found.feature).bound.total_seconds()
    return found.reason != "TookTooLong" and found.timing.total_seconds < bound


async def _restarted(theatre: Theatre, *deployments: str) -> None:
    stage = await theatre.stage()
    for deployment in deployments:
        theatre.mesh.restart("Deployment", stage.meshed, deployment, f"restart {next(_RESTARTS)}")
    await theatre.settled()


async def _scaled(theatre: Theatre, component: str, replicas: int) -> None:
    theatre.mesh.change("Deployment", _HOME, component, {"spec": {"replicas": replicas}})
    await theatre.plane.settled()


async def _identity_outage(theatre: Theatre) -> None:
    """Two workloads have leaves that end during the outage; then identity is back, and all seems well."""
    identity = theatre.plane.control.identity
    identity.lifetime = _BRIEF
    await _restarted(theatre, "v1", "sp")
    await _scaled(theatre, "linkerd-identity", 0)
    # Nobody can renew: the leaves that there are end within one life.
    await theatre.runner.clock.sleep(_BRIEF + timedelta(seconds=1))
    identity.lifetime = _USUAL
    await _scaled(theatre, "linkerd-identity", 1)
    await theatre.settled()


async def _injector_outage(theatre: Theatre) -> None:
    """Pods that come up while the injector does not answer: the webhook fails open."""
    await _scaled(theatre, "linkerd-proxy-injector", 0)
    await _restarted(theatre, "sp")
    await _scaled(theatre, "linkerd-proxy-injector", 1)


async def _destination_outage(theatre: Theatre) -> None:
    """Of Services that were in use before nobody notices."""
    known = await theatre.play("disc.new-target")
    assert healthy(known), told(known)
    await _scaled(theatre, "linkerd-destination", 0)


async def _strict_default(theatre: Theatre) -> None:
    stage = await theatre.stage()
    await objects.annotated("v1", "config.linkerd.io/default-inbound-policy", "all-authenticated")(theatre.plane, stage)
    await theatre.settled()


async def _lenient_default(theatre: Theatre) -> None:
    stage = await theatre.stage()
    await objects.annotated("v1", "config.linkerd.io/default-inbound-policy", "all-unauthenticated")(
        theatre.plane, stage
    )
    await theatre.settled()


async def _foreign_issuer(theatre: Theatre) -> None:
    await objects.foreign_issuer()(theatre.plane, await theatre.stage())


async def _issuer_of_our_anchor(theatre: Theatre) -> None:
    installed = theatre.mesh.installed
    assert installed is not None
    await objects.issued_by(installed.installation.trust.issuer)(theatre.plane, await theatre.stage())


async def _port_gone(theatre: Theatre) -> None:
    await objects.with_port("sm", "http", 18080)(theatre.plane, await theatre.stage())


async def _port_back(theatre: Theatre) -> None:
    await objects.with_port("sm", "http", 8080)(theatre.plane, await theatre.stage())


async def _hasty_breaker(theatre: Theatre) -> None:
    theatre.plane.faults.switch_on(outbound_faults.BREAKER_HASTY)


async def _patient_breaker(theatre: Theatre) -> None:
    theatre.plane.faults.clear()


SILENT = (
    Silent(
        "expired leaves after an identity outage, by the page of each proxy",
        _identity_outage,
        "mtls.renewal",
        "LEAF_EXPIRED",
        Rung.PROXY,
        "v1-",
        lambda theatre: _restarted(theatre, "v1", "sp"),
        meanwhile=_check_is_green,
    ),
    Silent(
        "pods without a proxy after an injector outage",
        _injector_outage,
        "mtls.coverage",
        "NOT_INJECTED",
        Rung.OBJECT,
        "/sp-",
        lambda theatre: _restarted(theatre, "sp"),
    ),
    Silent(
        "a scraper that a strict default refuses",
        _strict_default,
        "obs.admin-port",
        "STRICT_DEFAULT",
        Rung.OBJECT,
        "all-authenticated",
        _lenient_default,
    ),
    Silent(
        "new targets that hang while destination is down",
        _destination_outage,
        "disc.new-target",
        "NEW_TARGETS_HANG",
        Rung.CONTROL_PLANE,
        "a new target",
        lambda theatre: _scaled(theatre, "linkerd-destination", 1),
    ),
    Silent(
        "an issuer of another anchor",
        _foreign_issuer,
        "mtls.issuer",
        "ISSUER_REFUSED",
        Rung.CONTROL_PLANE,
        "x509",
        _issuer_of_our_anchor,
    ),
    Silent(
        "a port that the Service does not define",
        _port_gone,
        "mtls.identity",
        "UNDEFINED_PORT",
        Rung.OBJECT,
        "8080",
        _port_back,
    ),
    Silent(
        "a breaker that amplifies a partial failure",
        _hasty_breaker,
        "cb.partial-failure",
        "BREAKER_AMPLIFIES",
        Rung.PROXY,
        "refused",
        _patient_breaker,
    ),
)


@pytest.mark.parametrize("silent", SILENT, ids=[each.name for each in SILENT])
async def test_a_silent_failure_is_found_and_named_in_time_and_gone_after_the_repair(
    silent: Silent, nats_server: NatsServer, tmp_path: Path
) -> None:
    async with opened(nats_server.url, tmp_path) as theatre:
        await silent.breaks(theatre)
        outcome = await theatre.play(silent.finder)
        assert named(silent, outcome), told(outcome)
        assert decided_in_time(outcome), told(outcome)
        await silent.meanwhile(theatre)
        await silent.repair(theatre)
        again = await theatre.play(silent.finder)
        assert healthy(again), told(again)
