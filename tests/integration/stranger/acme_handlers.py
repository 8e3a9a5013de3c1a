"""What a stranger writes: nothing but the SDK, every outcome written down as a line of JSON."""

import asyncio
import json
import sys
from datetime import timedelta
from pathlib import Path

from steward import EventContext, Reject, Retry, Start, Subscriber, UpgradeFinished, UpgradeStepFailed

JOURNAL = Path(sys.argv[1] if len(sys.argv) > 1 else "journal.jsonl")

subscriber = Subscriber("acme", start=Start.ALL, concurrency=4, ack_wait=timedelta(seconds=2))


def note(what: str, context: EventContext) -> None:
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps({"what": what, "id": context.id, "attempt": context.attempt}) + "\n")


@subscriber.on(UpgradeFinished)
async def on_finished(event: UpgradeFinished) -> None:
    await asyncio.to_thread(JOURNAL.with_suffix(f".{event.run}").write_text, event.message)


@subscriber.on(UpgradeStepFailed)
async def on_failure(event: UpgradeStepFailed, context: EventContext) -> None:
    if event.reason == "Busy" and context.attempt == 1:
        note("retried", context)
        raise Retry(timedelta(milliseconds=100), "busy")
    if event.reason == "Refused":
        note("rejected", context)
        raise Reject(f"refused: {event.message}")
    note("handled", context)


if __name__ == "__main__":
    subscriber.main()
