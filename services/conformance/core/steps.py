"""The steps a probe is made of, as data: what a run does, a dry run prints, and a person repeats by hand.

Every step has a name under which its result is found in the evidence. Steps run one after the other, except those
within `During`, and are all run, but those within `Unless` and `Tapped`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from services.conformance.core.orders import Call, Fetch, Hold, Lookup, Reply
from steward.jsonvalue import JsonObject
from steward.kube.resources import Resource


@dataclass(frozen=True, slots=True)
class Calls:
    """Let every pod of an actor make calls (`actor` may be one pod of it: `sm-0`). Evidence: the replies of all."""

    name: str
    actor: str
    call: Call


@dataclass(frozen=True, slots=True)
class Until:
    """Call again and again until `consecutive` replies in a row meet the wish. Evidence: an `Effect`."""

    name: str
    actor: str
    call: Call
    meets: Callable[[Reply], bool]
    wish: str
    bound: timedelta
    consecutive: int = 3
    every: timedelta = timedelta(milliseconds=100)


@dataclass(frozen=True, slots=True)
class Pages:
    """Read the metrics of the proxies of an actor's pods, by way of an agent (`by`). Evidence: one page a pod.

    Where `labels` are given, it is the pods that have them instead, in `namespace` or, without one, in all of the
    cluster; the keys of the pages are then `namespace/pod`.
    """

    name: str
    of: str
    by: str = "cm"
    namespace: str = ""
    labels: str = ""


@dataclass(frozen=True, slots=True)
class Scrapes:
    """Read the metrics of containers of the control plane, by way of an agent (`by`), as a scraper would find them.

    `ports` has for each container the names that its port may have. Evidence: what each showed, by `pod/container`.
    """

    name: str
    by: str
    namespace: str
    ports: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Any other order to an agent. Evidence: what it saw."""

    name: str
    actor: str
    doing: Fetch | Hold | Lookup


@dataclass(frozen=True, slots=True)
class Released:
    """Close what an actor holds under `held`. Evidence: how it fared."""

    name: str
    actor: str
    held: str


@dataclass(frozen=True, slots=True)
class Applied:
    """Apply objects in a namespace of the run. Evidence: when the API accepted them. Removed when the probe ends."""

    name: str
    objects: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Stated:
    """Write the status of an object that this probe applied, as whoever looks after it would. Evidence: when."""

    name: str
    object: JsonObject


@dataclass(frozen=True, slots=True)
class Removed:
    """Delete objects that this probe applied."""

    name: str
    objects: tuple[JsonObject, ...]


@dataclass(frozen=True, slots=True)
class Tried:
    """Create as a server-side dry run. Evidence: the object as the API server would have it, or its refusal."""

    name: str
    object: JsonObject


@dataclass(frozen=True, slots=True)
class Looked:
    """Read objects. Evidence: them. `names` empty: all of the namespace that have the labels.

    Without a namespace, of all namespaces. An object that is not there is left out.
    """

    name: str
    resource: Resource
    namespace: str = ""
    names: tuple[str, ...] = ()
    labels: str = ""


@dataclass(frozen=True, slots=True)
class Logged:
    """Read what a container of an actor's pods wrote about `word`, until there are so many lines, or `bound` is over.

    Evidence: the lines that hold the word, by pod.
    """

    name: str
    actor: str
    container: str
    word: str
    lines: int
    bound: timedelta


@dataclass(frozen=True, slots=True)
class LookedUntil:
    """Read objects until they meet a wish. Evidence: an `Effect`, with the objects of the last look."""

    name: str
    look: Looked
    meets: Callable[[tuple[JsonObject, ...]], bool]
    wish: str
    bound: timedelta


@dataclass(frozen=True, slots=True)
class Destinations:
    """Ask each replica of destination for the endpoints of an authority (`name.ns.svc.domain:port`)."""

    name: str
    authority: str


@dataclass(frozen=True, slots=True)
class Profile:
    """Ask destination for the profile of an address (`ip:port` or authority)."""

    name: str
    address: str


@dataclass(frozen=True, slots=True)
class OutboundPolicy:
    """Ask the policy controller what the proxies of a namespace are told about a target."""

    name: str
    namespace: str
    authority: str


@dataclass(frozen=True, slots=True)
class InboundPolicy:
    """Ask the policy controller what the proxy of a pod of an actor is told about one of its ports."""

    name: str
    actor: str
    port: int


@dataclass(frozen=True, slots=True)
class Ready:
    """Wait until an actor (also one that the probe applied, by its `app` label) has `pods` ready pods.

    Where it is to call, they must take `orders`, too.
    """

    name: str
    actor: str
    namespace: str
    pods: int
    bound: timedelta = timedelta(seconds=60)
    orders: bool = False


@dataclass(frozen=True, slots=True)
class Evicted:
    """Evict the pods that an actor of the run has on one node, as a drain of that node would; never all it has.

    Asked again, for as long as `bound`, where a budget does not let them go. Evidence: `Drained`.
    """

    name: str
    actor: str
    namespace: str
    bound: timedelta


@dataclass(frozen=True, slots=True)
class Wait:
    """Let time pass, and say for what."""

    name: str
    duration: timedelta
    reason: str


@dataclass(frozen=True, slots=True)
class During:
    """Run `steps` one after the other while `load` goes on; `load` ends early when they are done."""

    name: str
    load: Calls
    steps: "tuple[Step, ...]" = field(default=())


@dataclass(frozen=True, slots=True)
class Unless:
    """Run `steps` only where an earlier step waited in vain: what can be asked only then, or matters only then."""

    name: str
    awaited: Until
    steps: "tuple[Step, ...]" = field(default=())


@dataclass(frozen=True, slots=True)
class Tapped:
    """Listen with tap to requests of a Deployment that the probe applied, and meanwhile run `steps`. Evidence: `Heard`.

    Only what it tells shows that tap listens: `lead`, whose path must begin as `path` does, is called until it is told
    of; where that is in vain or tap refuses, `steps` are left out. It is listened until `ends` exchanges have ended.
    """

    name: str
    deployment: str
    path: str
    actor: str
    lead: Call
    ends: int
    bound: timedelta
    every: timedelta = timedelta(milliseconds=500)
    patience: timedelta = timedelta(seconds=5)
    quiet: timedelta = timedelta(milliseconds=500)
    """What would be told in vain, or twice, has this long to come."""
    steps: "tuple[Step, ...]" = field(default=())


Step = (
    Calls
    | Until
    | Pages
    | Scrapes
    | Asked
    | Released
    | Applied
    | Stated
    | Removed
    | Tried
    | Looked
    | LookedUntil
    | Logged
    | Destinations
    | Profile
    | OutboundPolicy
    | InboundPolicy
    | Ready
    | Evicted
    | Wait
    | During
    | Unless
    | Tapped
)
