"""The flags of `python -m services`."""

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from services.embedded_nats import embedded_nats
from services.together import Member, serve_all
from steward.clock import SystemClock
from steward.service.logs import adopt_library_logs, logger
from steward.service.runtime import listening
from steward.service.settings import ServiceSettings

DEMONSTRATIONS = ("simulated", "real")


@dataclass(frozen=True, slots=True)
class Choice:
    """What the command line asks for."""

    demo: str | None
    once: bool
    kubeconfig: Path | None
    context: str | None
    nats: str | None
    data: Path

    async def serve(self) -> None:
        """Do it, until cancelled."""
        if self.demo is not None:
            # The simulation is for people who look around: production neither needs nor loads it.
            from services.demo.journey import demonstrate

            await demonstrate(self.demo, once=self.once)
        elif self.nats is not None:
            await self._together(self.nats)
        else:
            async with embedded_nats(self.data / "nats", SystemClock()) as address:
                await self._together(address)

    async def _together(self, nats: str) -> None:
        def configured(member: Member) -> ServiceSettings:
            """What the environment says, and what the flags say over it."""
            loaded = member.settings.load()
            flags = {"kubeconfig": self.kubeconfig, "context": self.context}
            cluster = loaded.cluster.model_copy(update={name: value for name, value in flags.items() if value})
            bus = loaded.bus.model_copy(update={"servers": (nats,)})
            return loaded.model_copy(update={"cluster": cluster, "bus": bus})

        shared = ServiceSettings.load()
        adopt_library_logs(logger("services", shared.log), shared.log)
        async with listening(shared.http) as (registry, health):
            await serve_all(configured, registry, health)


def chosen(arguments: Sequence[str]) -> Choice:
    """Read the flags; ends the process with 2 and a sentence where one is wrong."""
    parser = argparse.ArgumentParser(
        prog="python -m services",
        description="Run all services of Linkerd Steward in one process. Everything that is not a flag here is a "
        "variable STEWARD_<GROUP>__<FIELD>.",
    )
    parser.add_argument("--kubeconfig", type=_file, help="the cluster; without it, the pod's own")
    parser.add_argument("--context", help="a context of the kubeconfig")
    parser.add_argument("--nats", help="a NATS server that runs already; without it, one is embedded")
    parser.add_argument(
        "--data", type=Path, default=Path.home() / ".local/state/linkerd-steward", help="where the embedded NATS keeps"
    )
    parser.add_argument("--demo", choices=DEMONSTRATIONS, help="a cluster to look at instead of yours")
    parser.add_argument("--once", action="store_true", help="end the demonstration when the upgrade has ended")
    read = parser.parse_args(arguments)
    if read.demo and (read.kubeconfig or read.context or read.nats):
        parser.error("--demo brings its own cluster and NATS: leave --kubeconfig, --context and --nats away")
    if read.once and not read.demo:
        parser.error("--once belongs to --demo")
    return Choice(read.demo, read.once, read.kubeconfig, read.context, read.nats, read.data)


def _file(text: str) -> Path:
    path = Path(text).expanduser()
    if not path.is_file():
        raise argparse.ArgumentTypeError(f"there is no file {text!r}")
    return path
