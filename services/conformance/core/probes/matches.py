"""What an HTTPRoute matches: paths, methods, headers, queries; and what becomes of requests that nothing matches."""

from collections.abc import Sequence

from services.conformance.core.controls import WHO_ANSWERS
from services.conformance.core.diagnosis import Scene
from services.conformance.core.evidence import Evidence
from services.conformance.core.fronts import V1, by, calling, front, named, until
from services.conformance.core.known_causes.outbound import ladder
from services.conformance.core.objects import (
    backend,
    header_match,
    http_route,
    parent,
    path_match,
    rule,
)
from services.conformance.core.orders import Call, Target
from services.conformance.core.outbound import around, routed
from services.conformance.core.probe import Control, Probe
from services.conformance.core.proofs import (
    Maker,
    all_are,
    counter_grew_by,
    header_present,
    made_by,
    status_is,
    together,
    within,
)
from services.conformance.core.stage import Need, Port, Stage
from services.conformance.core.steps import Calls, Pages, Step
from services.conformance.core.targets import CLIENT, at_service
from steward.conformance.results import AssertionResult, Tier
from steward.jsonvalue import JsonObject


def alike(call: Call, *paths: str) -> tuple[Call, ...]:
    """The same call for each of these paths."""
    return tuple(call.model_copy(update={"path": path}) for path in paths)


class _Matching:
    """A route that sends what matches to v2; everything else goes to v1."""

    def __init__(self, name: str, matches: Sequence[JsonObject], hits: Sequence[Call], misses: Sequence[Call]) -> None:
        self.name = name
        self._matches = tuple(matches)
        self._hits = tuple(hits)
        self._misses = tuple(misses)

    def objects(self, stage: Stage) -> tuple[JsonObject, ...]:
        matching = rule(backend("v2", Port.HTTP), matches=self._matches)
        others = rule(backend("v1", Port.HTTP))
        return front(stage, self.name, V1), http_route(stage, self.name, parent("Service", self.name), matching, others)

    def _at(self, stage: Stage, call: Call) -> Call:
        return call.model_copy(update={"target": at_service(stage, self.name)})

    def steps(self, stage: Stage) -> tuple[Step, ...]:
        first = self._at(stage, self._hits[0]).model_copy(update={"times": 1})
        return (
            until(stage, "effect", first, by(stage, "v2"), "answers of v2"),
            Pages("before", CLIENT),
            *(Calls(f"match-{at}", CLIENT, self._at(stage, call)) for at, call in enumerate(self._hits)),
            *(Calls(f"other-{at}", CLIENT, self._at(stage, call)) for at, call in enumerate(self._misses)),
            Pages("after", CLIENT),
        )

    def proof(self, stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
        hits = [reply for at in range(len(self._hits)) for reply in evidence.replies(f"match-{at}")]
        misses = [reply for at in range(len(self._misses)) for reply in evidence.replies(f"other-{at}")]
        matched, others = by(stage, "v2"), by(stage, "v1")
        named(stage, "v2")
        route = routed(stage, self.name, self.name)
        return together(
            lambda: (
                within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
                all_are("what matches goes to v2", hits, "200 from v2", matched),
                all_are("what does not goes to v1", misses, "200 from v1", others),
            ),
            lambda: (
                counter_grew_by(
                    "the proxy counts them all for the route",
                    around(evidence),
                    route,
                    len(hits) + len(misses),
                ),
            ),
        )

    def probe(self, id: str, claim: str, control: Control | None = None) -> Probe:
        return Probe(
            id=id,
            claim=claim,
            tier=Tier.TRAFFIC,
            objects=self.objects,
            steps=self.steps,
            proof=self.proof,
            control=control,
            diagnosis=Scene(service=self.name).steps,
            causes=ladder(
                "the route", self.name, lambda stage: (routed(stage, self.name, self.name),), route=self.name
            ),
            needs=(Need.GATEWAY_HTTP_ROUTE,),
        )


_NOWHERE = Target(host="put.in.later.invalid", port=1)
_FEW = Call(target=_NOWHERE, times=10)
_MORE = Call(target=_NOWHERE, times=25)


def _with(name: str, value: str) -> Call:
    return _MORE.model_copy(update={"headers": ((name, value),)})


_PATHS = _Matching(
    "p-route-path",
    (
        path_match("/exact", "Exact"),
        path_match("/pre", "PathPrefix"),
        path_match("/re/[0-9]+", "RegularExpression"),
    ),
    alike(_FEW, "/exact", "/pre", "/pre/more", "/re/17"),
    alike(_FEW, "/exact/more", "/prefix", "/re/x"),
)
_METHODS = _Matching(
    "p-route-method",
    ({"method": "POST"},),
    (_MORE.model_copy(update={"method": "POST", "body_bytes": 16}),),
    (_MORE, _FEW.model_copy(update={"method": "PUT", "body_bytes": 16})),
)
_HEADERS = _Matching(
    "p-route-header",
    (header_match("x-probe", "v2"), header_match("x-probe-re", "v[2-9]", "RegularExpression")),
    (_with("x-probe", "v2"), _with("x-probe-re", "v3")),
    (_with("x-probe", "v1"), _with("x-probe-re", "v1")),
)
_QUERIES = _Matching(
    "p-route-query",
    ({"queryParams": [{"type": "Exact", "name": "probe", "value": "v2"}]},),
    alike(_MORE, "/?probe=v2"),
    alike(_MORE, "/?probe=v1"),
)


NO_MATCH = "p-no-match"


def _no_match_objects(stage: Stage) -> tuple[JsonObject, ...]:
    only = rule(backend("v2", Port.HTTP), matches=(path_match("/only"),))
    return front(stage, NO_MATCH, V1), http_route(stage, NO_MATCH, parent("Service", NO_MATCH, Port.HTTP), only)


def _no_match(stage: Stage) -> tuple[Step, ...]:
    return (
        until(stage, "effect", calling(stage, NO_MATCH, "/only"), by(stage, "v2"), "answers of v2"),
        Pages("before", CLIENT),
        Calls("other", CLIENT, calling(stage, NO_MATCH, "/other", times=10)),
        Pages("after", CLIENT),
    )


def _no_match_holds(stage: Stage, evidence: Evidence) -> tuple[AssertionResult, ...]:
    replies = evidence.replies("other")
    return (
        within("the route shows on traffic", evidence.effect("effect"), stage.timings.propagation),
        status_is("what no rule matches is not found", replies, 404),
        made_by("that is said by the proxy of the client", replies, Maker.CLIENT_PROXY),
        header_present("with its reason", replies, "l5d-proxy-error", containing="no route"),
    )


PROBES: tuple[Probe, ...] = (
    _PATHS.probe("route.path", "An HTTPRoute matches paths: exact, by prefix, by regular expression.", WHO_ANSWERS),
    _METHODS.probe("route.method", "An HTTPRoute matches methods."),
    _HEADERS.probe("route.header", "An HTTPRoute matches headers, exactly and by regular expression."),
    _QUERIES.probe("route.query", "An HTTPRoute matches query parameters."),
    Probe(
        id="route.no-match",
        claim="Where a Service has routes and none matches, the client's proxy answers 404.",
        tier=Tier.TRAFFIC,
        objects=_no_match_objects,
        steps=_no_match,
        proof=_no_match_holds,
        diagnosis=Scene(service=NO_MATCH).steps,
        causes=ladder("the route", NO_MATCH, lambda stage: (routed(stage, NO_MATCH, NO_MATCH),), route=NO_MATCH),
        needs=(Need.GATEWAY_HTTP_ROUTE,),
    ),
)
