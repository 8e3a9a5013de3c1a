"""What the server has → what the data asks for. Nothing is ever destroyed: such a change is refused and reported."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from steward.bus.connection import Connection
from steward.bus.errors import ApiError, StreamMissing
from steward.bus.streams import ConsumerSpec, StoreSpec
from steward.jsonvalue import Json, JsonObject, strings, table, whole

log = logging.getLogger("steward.bus")

_NOT_FOUND = (10059, 10014)  # stream, consumer
_EXISTS_OTHERWISE = (10058, 10148, 10013)  # another replica created it between our question and our answer
_ATTEMPTS = 3

# 0 and -1 both say "without limit" in the JetStream API.
_LIMITS = frozenset({"max_age", "max_bytes", "max_msgs", "max_msgs_per_subject", "max_msg_size"})
_FIXED = frozenset({"storage", "retention", "discard", "deliver_policy", "ack_policy", "durable_name", "name"})


class Verdict(StrEnum):
    """What became of a stream, bucket or consumer."""

    UNCHANGED = "Unchanged"
    CREATED = "Created"
    UPDATED = "Updated"
    REFUSED = "Refused"


@dataclass(frozen=True, slots=True)
class Change:
    """What was done to one object, or why it was not, and how a person does it on purpose."""

    kind: str
    name: str
    verdict: Verdict
    detail: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Difference:
    """One setting that differs, and whether changing it could lose messages or positions."""

    setting: str
    present: Json
    wanted: Json
    destructive: bool

    def __str__(self) -> str:
        return f"{self.setting}: {self.present!r} → {self.wanted!r}"


def differences(present: JsonObject, wanted: JsonObject) -> list[Difference]:
    """What differs between the configuration that is `present` and the one `wanted`, of what the latter mentions."""
    found = []
    for setting, value in wanted.items():
        here = _present(present, setting)
        if _same(setting, here, value):
            continue
        found.append(Difference(setting, here, value, destructive=_is_destructive(setting, here, value)))
    return found


async def reconcile(
    connection: Connection, stores: Sequence[StoreSpec], consumers: Sequence[ConsumerSpec], *, replicas: int
) -> list[Change]:
    """Create what is missing and update what differs; what would lose something is reported instead."""
    changes = []
    for store in stores:
        target = _Target("stream", store.name, f"STREAM.{{}}.{store.name}", wrap="")
        changes.append(await _settle(connection, target, store.config(replicas)))
    for consumer in consumers:
        where = f"{consumer.stream}.{consumer.name}"
        target = _Target("consumer", consumer.name, f"CONSUMER.{{}}.{where}", wrap=consumer.stream)
        changes.append(await _settle(connection, target, consumer.config(replicas)))
    for change in changes:
        level = {Verdict.UNCHANGED: logging.DEBUG, Verdict.REFUSED: logging.WARNING}.get(change.verdict, logging.INFO)
        said = " ".join(part for part in (change.detail, change.remedy) if part)
        log.log(level, "%s %s: %s. %s", change.kind, change.name, change.verdict.value, said)
    return changes


async def ensure(connection: Connection, stores: Sequence[StoreSpec], *, replicas: int) -> None:
    """Create what is missing and change nothing: for guests, who do not decide what the streams are."""
    for store in stores:
        target = _Target("stream", store.name, f"STREAM.{{}}.{store.name}", wrap="")
        if await _look(connection, target) is not None:
            continue
        try:
            await connection.api(target.verb("create"), store.config(replicas))
        except ApiError as error:
            if error.err_code not in _EXISTS_OTHERWISE:
                raise


@dataclass(frozen=True, slots=True)
class _Target:
    kind: str
    name: str
    path: str
    wrap: str

    def body(self, config: JsonObject, action: str) -> JsonObject:
        return {"stream_name": self.wrap, "config": config, "action": action} if self.wrap else config

    def verb(self, action: str) -> str:
        # A consumer is created and updated by the same verb; the action is in the body.
        return self.path.format("CREATE" if self.wrap else action.upper())


async def _settle(connection: Connection, target: _Target, wanted: JsonObject) -> Change:
    for attempt in range(1, _ATTEMPTS + 1):
        present = await _look(connection, target)
        try:
            if present is None:
                await connection.api(target.verb("create"), target.body(wanted, "create"))
                return Change(target.kind, target.name, Verdict.CREATED)
            return await _update(connection, target, present, wanted)
        except ApiError as error:
            if error.err_code in _EXISTS_OTHERWISE and attempt < _ATTEMPTS:
                continue
            if error.err_code in _NOT_FOUND and target.wrap:
                raise StreamMissing(_missing(target.wrap)) from None
            return Change(target.kind, target.name, Verdict.REFUSED, error.description, _remedy(target, present))
    raise AssertionError("the last attempt returns")


async def _look(connection: Connection, target: _Target) -> JsonObject | None:
    try:
        return table(await connection.api(target.path.format("INFO")), "config")
    except ApiError as error:
        if error.err_code not in _NOT_FOUND:
            raise
        if error.err_code == 10059 and target.wrap:
            raise StreamMissing(_missing(target.wrap)) from None
        return None


async def _update(connection: Connection, target: _Target, present: JsonObject, wanted: JsonObject) -> Change:
    found = differences(present, wanted)
    refused = [each for each in found if each.destructive]
    gentle = {each.setting: each.wanted for each in found if not each.destructive}
    if gentle:
        await connection.api(target.verb("update"), target.body(_merged(present, gentle), "update"))
    if refused:
        detail = "would lose messages or positions, so it was left alone: " + ", ".join(str(each) for each in refused)
        return Change(target.kind, target.name, Verdict.REFUSED, detail, _remedy(target, present))
    if gentle:
        return Change(target.kind, target.name, Verdict.UPDATED, ", ".join(str(each) for each in found))
    return Change(target.kind, target.name, Verdict.UNCHANGED)


def _merged(present: JsonObject, gentle: JsonObject) -> JsonObject:
    merged = {**present, **gentle}
    if "filter_subjects" in gentle:
        # A consumer with one filter answers it under the old name, and refuses both names together.
        merged.pop("filter_subject", None)
    return merged


def _present(present: JsonObject, setting: str) -> Json:
    if setting == "filter_subjects" and "filter_subject" in present:
        return [present["filter_subject"]]
    return present.get(setting)


def _same(setting: str, present: Json, wanted: Json) -> bool:
    if setting in _LIMITS:
        return _limit(present) == _limit(wanted)
    if isinstance(wanted, list):
        return sorted(strings(present)) == sorted(strings(wanted))
    # The server leaves out what is false or empty.
    return present == wanted or (not present and not wanted)


def _limit(value: Json) -> float:
    number = whole(value)
    return number if number > 0 else float("inf")


def _is_destructive(setting: str, present: Json, wanted: Json) -> bool:
    if setting in _FIXED:
        return True
    if setting in _LIMITS:
        return _limit(wanted) < _limit(present)
    if setting == "subjects":
        return not set(strings(present)) <= set(strings(wanted))
    if setting == "num_replicas":
        return whole(wanted) < whole(present)
    return False


def _missing(stream: str) -> str:
    return (
        f"stream {stream} does not exist: start Linkerd Steward's services once, or reconcile the streams "
        "(steward.bus.streams.STORES) before its consumers"
    )


def _remedy(target: _Target, present: JsonObject | None) -> str:
    if present is None:
        return f"Ask the server why: nats {target.kind} report"
    if target.kind == "stream":
        return f"If that is meant: nats stream edit {target.name}"
    return (
        f"If that is meant: nats consumer rm {target.wrap} {target.name}, and start again; the consumer then begins "
        "where its start says, not where it stood"
    )
