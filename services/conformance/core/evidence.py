"""What the steps of a probe found, by the names of the steps. Asking for what is not there is no verdict: `Unseen`."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from services.conformance.core.orders import Answers, Fetched, Held, Replies, Reply, Report
from services.conformance.core.pages import Page
from steward.errors import StewardError
from steward.jsonvalue import JsonObject
from steward.viz.events import TapEvent, TapRefused


class Unseen(StewardError):
    """A step left nothing to judge by; the probe is inconclusive, not failed."""

    def __init__(self, step: str, message: str) -> None:
        super().__init__(f"{step}: {message}")
        self.step = step


@dataclass(frozen=True, slots=True)
class Effect:
    """How long a change took to show. `met` is False where the bound passed first."""

    met: bool
    wish: str
    seconds: float
    replies: tuple[Reply, ...] = ()
    objects: tuple[JsonObject, ...] = ()


@dataclass(frozen=True, slots=True)
class Accepted:
    """The API server took the objects."""

    at: datetime
    objects: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Turned:
    """The API server refused an object, and said why."""

    status: int
    message: str


@dataclass(frozen=True, slots=True)
class Would:
    """A dry run passed; this is what would be stored."""

    object: JsonObject


@dataclass(frozen=True, slots=True)
class Told:
    """What the control plane told; one answer for each replica that was asked, by its pod."""

    answers: Mapping[str, JsonObject]


@dataclass(frozen=True, slots=True)
class NotTold:
    """The control plane gave no answer. `code` is the gRPC code's name."""

    code: str
    message: str


@dataclass(frozen=True, slots=True)
class Drained:
    """How pods of one node were evicted."""

    node: str
    before: tuple[str, ...]
    """All pods of the actor, as there were."""
    gone: tuple[str, ...]
    refused: Mapping[str, str]
    """Those that were not let go, and why."""


@dataclass(frozen=True, slots=True)
class Scraped:
    """What a scraper got of one container."""

    ports: tuple[str, ...]
    """Names of all of the container's ports."""
    found: str = ""
    """The port that was asked, as `name:number`; empty where none has a name by which it is looked for."""
    status: int | None = None
    page: Page | None = None
    said: str = ""
    """Why there is no page."""


@dataclass(frozen=True, slots=True)
class Heard:
    """What tap told, in its order. `after` is how long the first of it took, None where there was none."""

    events: tuple[TapEvent, ...] = ()
    after: float | None = None
    refused: TapRefused | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """A step could not be done at all, by no fault of the mesh that is known."""

    reason: str
    message: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """All that one attempt saw."""

    steps: Mapping[str, "Found"] = field(default_factory=dict)

    def replies(self, step: str) -> tuple[Reply, ...]:
        """Every reply of a `Calls` step (or of the load of a `During`), of all pods of the actor, in order."""
        return tuple(reply for report in self.reports(step) for reply in _replies(report, step))

    def reply(self, step: str) -> Reply:
        """The only, or else the last reply of a step."""
        replies = self.replies(step)
        if not replies:
            raise Unseen(step, "no call was answered for")
        return replies[-1]

    def reports(self, step: str) -> tuple[Report, ...]:
        """What the agents reported."""
        found = self._found(step)
        if not isinstance(found.reports, tuple):
            raise Unseen(step, "no agent reported")
        return found.reports

    def fetched(self, step: str) -> Fetched:
        """What a `Fetch` brought."""
        for report in self.reports(step):
            if isinstance(report.seen, Fetched):
                return report.seen
        raise Unseen(step, "nothing was fetched")

    def held(self, step: str) -> Held:
        """How a held connection fares."""
        for report in self.reports(step):
            if isinstance(report.seen, Held):
                return report.seen
        raise Unseen(step, "nothing was held")

    def answers(self, step: str) -> Answers:
        """What a name resolved to."""
        for report in self.reports(step):
            if isinstance(report.seen, Answers):
                return report.seen
        raise Unseen(step, "nothing was looked up")

    def pages(self, step: str) -> Mapping[str, Page]:
        """Metrics by pod."""
        found = self._found(step)
        if found.pages is None:
            raise Unseen(step, "no page of metrics was read")
        return found.pages

    def scraped(self, step: str) -> Mapping[str, Scraped]:
        """What a scraper got, by `pod/container`."""
        found = self._found(step)
        if found.scraped is None:
            raise Unseen(step, "nothing was scraped")
        return found.scraped

    def effect(self, step: str) -> Effect:
        """How long a change took to show."""
        found = self._found(step)
        if found.effect is None:
            raise Unseen(step, "no effect was waited for")
        return found.effect

    def objects(self, step: str) -> tuple[JsonObject, ...]:
        """What was read."""
        found = self._found(step)
        if found.objects is None:
            raise Unseen(step, "nothing was read")
        return found.objects

    def drained(self, step: str) -> Drained:
        """Which pods were evicted."""
        found = self._found(step)
        if found.drained is None:
            raise Unseen(step, "nothing was evicted")
        return found.drained

    def logs(self, step: str) -> Mapping[str, tuple[str, ...]]:
        """Lines of a log, by pod."""
        found = self._found(step)
        if found.logs is None:
            raise Unseen(step, "no log was read")
        return found.logs

    def trial(self, step: str) -> Would | Turned:
        """How a dry run went."""
        found = self._found(step)
        if found.trial is None:
            raise Unseen(step, "nothing was tried")
        return found.trial

    def told(self, step: str) -> Told | NotTold:
        """What the control plane told."""
        found = self._found(step)
        if found.told is None:
            raise Unseen(step, "the control plane was not asked")
        return found.told

    def heard(self, step: str) -> Heard:
        """What tap told."""
        found = self._found(step)
        if found.heard is None:
            raise Unseen(step, "tap was not asked")
        return found.heard

    def accepted(self, step: str) -> Accepted:
        """When objects were accepted."""
        found = self._found(step)
        if found.accepted is None:
            raise Unseen(step, "nothing was applied")
        return found.accepted

    def __contains__(self, step: object) -> bool:
        found = self.steps.get(step) if isinstance(step, str) else None
        return found is not None and found.failure is None

    def __iter__(self) -> Iterator[str]:
        return iter(self.steps)

    def _found(self, step: str) -> "Found":
        found = self.steps.get(step)
        if found is None:
            raise Unseen(step, "the step was not reached")
        if found.failure is not None:
            raise Unseen(step, f"{found.failure.reason}: {found.failure.message}")
        return found


@dataclass(frozen=True, slots=True)
class Found:
    """The result of one step: exactly one of these, or a failure."""

    reports: tuple[Report, ...] | None = None
    pages: Mapping[str, Page] | None = None
    scraped: Mapping[str, Scraped] | None = None
    effect: Effect | None = None
    objects: tuple[JsonObject, ...] | None = None
    logs: Mapping[str, tuple[str, ...]] | None = None
    drained: Drained | None = None
    trial: Would | Turned | None = None
    told: Told | NotTold | None = None
    heard: Heard | None = None
    accepted: Accepted | None = None
    failure: Failure | None = None


def _replies(report: Report, step: str) -> tuple[Reply, ...]:
    if not isinstance(report.seen, Replies):
        raise Unseen(step, f"{report.pod} reported no replies")
    return report.seen.replies
