"""The story of each upgrade run as a text file, from the first event that the stream still keeps.

Run it with `python run_journal.py`, or with `linkerd-steward handlers run run_journal:subscriber`. The files go into
the folder that `JOURNAL_FOLDER` names, else into `journal/`.
"""

import asyncio
import os
from pathlib import Path

from steward import (
    EventContext,
    Start,
    Subscriber,
    UpgradeFinished,
    UpgradePaused,
    UpgradePlanned,
    UpgradeResumed,
    UpgradeStarted,
    UpgradeStepDone,
    UpgradeStepFailed,
)
from steward.events import UpgradeEvent

subscriber = Subscriber("run-journal", start=Start.ALL)


async def write(event: UpgradeEvent, context: EventContext) -> None:
    """Events of one run come one after another, so its file needs no lock."""
    folder = Path(os.environ.get("JOURNAL_FOLDER", "journal"))
    line = f"{context.time:%Y-%m-%d %H:%M:%S} {context.cluster} {event.name}: {event.message} [{context.id}]\n"
    await asyncio.to_thread(append_once, folder / f"{event.run}.txt", line, context.id)


def append_once(path: Path, line: str, id: str) -> None:
    """An event may come twice; its id stands in its line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="utf-8") as file:
        file.seek(0)
        if f"[{id}]" not in file.read():
            file.write(line)


STORY: tuple[type[UpgradeEvent], ...] = (
    UpgradePlanned,
    UpgradeStarted,
    UpgradeStepDone,
    UpgradeStepFailed,
    UpgradePaused,
    UpgradeResumed,
    UpgradeFinished,
)
for kind in STORY:
    subscriber.on(kind)(write)

if __name__ == "__main__":
    subscriber.main()
