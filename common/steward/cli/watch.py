"""Following a run: a live picture on a terminal, a line for each thing that happened elsewhere."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from datetime import datetime, timedelta

from rich.console import Group, RenderableType
from rich.live import Live
from rich.text import Text

from steward.cli.exit_codes import ExitCode
from steward.cli.go_flags import spelled
from steward.cli.options import Session
from steward.cli.output import clean, console, note, plain, write
from steward.cli.run_stream import Sight
from steward.cli.run_view import is_over, run_report, status_of, trouble, verdict
from steward.clock import Clock
from steward.resources import UpgradeRun
from steward.resources.upgrade_run import Phase, Transition, Workloads

_REFRESH_PER_SECOND = 4
_FOR_A_PERSON = ("Stalled", "Planned")


async def watch(session: Session, sights: AsyncGenerator[Sight[UpgradeRun]], *, through_pauses: bool) -> ExitCode:
    """Show the run until it is over or, unless told otherwise, until it waits for a person."""
    last: Sight[UpgradeRun] | None = None
    view = _Live(session) if session.environment.output_is_terminal else _Lines(session.clock)
    async with aclosing(sights) as following:
        with view:
            async for sight in following:
                view.see(last, sight)
                last = sight
                if not sight.problem and _ends(sight.run, through_pauses=through_pauses):
                    break
    if last is None:
        return ExitCode.NOT_FOUND
    code = verdict(last.run)
    if status_of(last.run).phase is Phase.PAUSED:
        note(f"hint: it goes on with: linkerd steward upgrade resume {last.run.metadata.name}")
    return code


def happenings(before: UpgradeRun | None, after: UpgradeRun, now: datetime) -> list[str]:
    """What happened between two sights of a run, a line each. Pure."""
    seen = {each.id for each in status_of(before).transitions} if before else set()
    lines = [_line(each) for each in status_of(after).transitions if each.id not in seen]
    moment = f"{now:%H:%M:%SZ}"
    counts = _proxies(after)
    if counts and counts != (_proxies(before) if before else ""):
        lines.append(f"{moment}  proxies  {counts}")
    word = trouble(after)
    if word is not None and (before is None or trouble(before) != word):
        lines.append(f"{moment}  {word.type}  {word}")
    phase = status_of(after).phase
    if before is None or status_of(before).phase is not phase:
        lines.append(f"{moment}  {after.metadata.name}  {phase.value}")
    return [clean(line) for line in lines]


def live_report(sight: Sight[UpgradeRun], now: datetime) -> RenderableType:
    """The picture that a terminal shows. Pure."""
    picture = run_report(sight.run, now)
    return Group(picture, Text(""), plain(sight.problem, "yellow")) if sight.problem else picture


class _Live:
    """A picture that is drawn again several times a second, so that time passes in it."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._sight: Sight[UpgradeRun] | None = None
        self._live = Live(
            console=console(session.environment),
            refresh_per_second=_REFRESH_PER_SECOND,
            get_renderable=self._draw,
            vertical_overflow="visible",
        )

    def __enter__(self) -> "_Live":
        self._live.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._live.__exit__(None, None, None)

    def see(self, before: Sight[UpgradeRun] | None, after: Sight[UpgradeRun]) -> None:
        self._sight = after
        if before is None or before.run is not after.run:
            self._live.refresh()

    def _draw(self) -> RenderableType:
        return live_report(self._sight, self._session.clock.now()) if self._sight else Text("")


class _Lines:
    """A line for each thing that happened."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    def __enter__(self) -> "_Lines":
        return self

    def __exit__(self, *problem: object) -> None:
        pass

    def see(self, before: Sight[UpgradeRun] | None, after: Sight[UpgradeRun]) -> None:
        if after.problem:
            if before is None or before.problem != after.problem:
                note(after.problem)
            return
        for line in happenings(before.run if before else None, after.run, self._clock.now()):
            write(f"{line}\n")


def _ends(run: UpgradeRun, *, through_pauses: bool) -> bool:
    if is_over(run):
        return True
    word = trouble(run)
    waits = status_of(run).phase is Phase.PAUSED or (word is not None and word.type in _FOR_A_PERSON)
    return waits and not through_pauses


def _line(transition: Transition) -> str:
    parts = [f"{transition.time:%H:%M:%SZ}", transition.event]
    if transition.step:
        parts.append(transition.step + (f" (try {transition.attempt})" if transition.attempt > 1 else ""))
    parts.append(f"{transition.reason}: {transition.message}" if transition.message else transition.reason)
    if transition.duration_seconds is not None:
        parts.append(f"({spelled(timedelta(seconds=transition.duration_seconds))})")
    return "  ".join(parts)


def _proxies(run: UpgradeRun) -> str:
    workloads = status_of(run).workloads
    if workloads is None or not workloads.total:
        return ""
    return f"{workloads.verified}/{workloads.total} workloads verified{_rest(workloads)}"


def _rest(workloads: Workloads) -> str:
    counts = {
        "restarting": workloads.restarting,
        "failed": workloads.failed,
        "without effect": workloads.no_effect,
        "contested": workloads.contested,
        "held": workloads.held,
        "unsupported": workloads.unsupported,
    }
    return "".join(f", {count} {name}" for name, count in counts.items() if count)
