"""Results in the stream: one message a cycle. What states are made of is in the headers, and read without payloads."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import datetime, timedelta

from pydantic import ValidationError

from services.conformance.core.marks import Mark
from services.conformance.core.ports import Kept
from steward.bus.errors import StreamMissing
from steward.bus.reading import Stored
from steward.bus.streams import RESULTS_ROOT
from steward.conformance.results import RESULT_STREAM_KEY, FeatureResult, Verdict
from steward.events.subjects import part, token
from steward.service.patient_bus import EventBus

_ROOT = f"{RESULTS_ROOT}.v1"
_VERDICT, _AT, _CYCLE, _UID = "Steward-Verdict", "Steward-At", "Steward-Cycle", "Steward-Run-Uid"
_A_MOMENT = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class StreamedResults:
    """`steward.results.v1.<cluster>.conformance.<run>.<feature tokens…>`."""

    bus: EventBus

    async def keep(self, result: FeatureResult) -> None:
        """Store a result once, however often this is asked."""
        headers = {
            _VERDICT: result.verdict.value,
            _AT: result.at.isoformat(),
            _CYCLE: str(result.cycle),
            _UID: result.run_uid,
            "content-type": "application/json",
        }
        payload = result.model_dump_json(by_alias=True, exclude_none=True).encode()
        await self.bus.record(self._subject(result), payload, message_id=result.id, headers=headers)

    async def marks(self) -> AsyncIterator[Kept]:
        """All that is stored of all features, without payloads."""
        try:
            async with aclosing(self.bus.stored(f"{self._prefix()}.>", headers_only=True)) as messages:
                async for message in messages:
                    kept = self._kept(message)
                    if kept is not None:
                        yield kept
        except StreamMissing:
            return

    async def of_run(self, run_uid: str, run: str) -> AsyncIterator[FeatureResult]:
        """All that is stored of one run."""
        try:
            async with aclosing(self.bus.stored(f"{self._prefix()}.{token(run)}.>")) as messages:
                async for message in messages:
                    result = _read(message)
                    if result is not None and result.run_uid == run_uid:
                        yield result
        except StreamMissing:
            return

    async def one(self, feature: str, mark: Mark) -> FeatureResult | None:
        """One result, whole."""
        subject = f"{self._prefix()}.{token(mark.run) if mark.run else '*'}.{feature}"
        start = mark.at - _A_MOMENT
        try:
            async with aclosing(self.bus.stored(subject, start=start)) as messages:
                async for message in messages:
                    result = _read(message)
                    if result is not None and (result.run_uid, result.cycle) == mark.key:
                        return result
        except StreamMissing:
            return None
        return None

    def _prefix(self) -> str:
        return f"{_ROOT}.{self.bus.cluster}.{RESULT_STREAM_KEY}"

    def _subject(self, result: FeatureResult) -> str:
        return f"{self._prefix()}.{token(result.run)}.{result.feature}"

    def _kept(self, message: Stored) -> Kept | None:
        run, _, feature = message.subject.removeprefix(f"{self._prefix()}.").partition(".")
        headers = message.headers
        try:
            at = datetime.fromisoformat(headers[_AT])
            mark = Mark(at, headers[_UID], int(headers[_CYCLE]), Verdict(headers[_VERDICT]), part(run))
        except (KeyError, ValueError):
            return None
        return Kept(feature, mark) if at.tzinfo is not None else None


def _read(message: Stored) -> FeatureResult | None:
    """A result of a version that we do not read is left to those who do."""
    try:
        return FeatureResult.model_validate_json(message.data)
    except ValidationError:
        return None
