"""Results as the stream keeps them, read for one run or for one feature."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from datetime import datetime

from pydantic import ValidationError

from steward.bus.client import Bus
from steward.bus.errors import StreamMissing
from steward.bus.streams import RESULTS_ROOT, Start
from steward.conformance.results import RESULT_STREAM_KEY, FeatureResult
from steward.events.subjects import token


async def of_run(bus: Bus, run: str, run_uid: str) -> list[FeatureResult]:
    """Every result of a run, oldest first; a run made again under the same name is another one."""
    subject = f"{_prefix()}.{token(run)}.>"
    return [each async for each in _read(bus, subject, Start.ALL) if each.run_uid == run_uid]


async def of_feature(bus: Bus, feature: str, since: datetime | None) -> list[FeatureResult]:
    """Every result of a feature, of whatever run, oldest first."""
    subject = f"{_prefix()}.*.{feature}"
    found = [each async for each in _read(bus, subject, since or Start.ALL) if each.feature == feature]
    return sorted(found, key=lambda each: (each.at, each.cycle))


async def _read(bus: Bus, subject: str, start: Start | datetime) -> AsyncIterator[FeatureResult]:
    try:
        async with aclosing(bus.stored(subject, start=start)) as messages:
            async for message in messages:
                try:
                    yield FeatureResult.model_validate_json(message.data)
                except ValidationError:
                    continue  # of a newer version than this command: those who can read it do
    except StreamMissing:
        return


def _prefix() -> str:
    return f"{RESULTS_ROOT}.v1.*.{RESULT_STREAM_KEY}"
