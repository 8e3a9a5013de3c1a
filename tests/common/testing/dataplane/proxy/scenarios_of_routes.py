"""What is observed of routes, profiles, retries and timeouts."""

from dataclasses import replace
from datetime import timedelta

from steward.testing.dataplane.config import (
    Backend,
    HeaderChange,
    Match,
    Meta,
    Profile,
    ProfileRoute,
    Redirect,
    Retry,
    Route,
    Rule,
    Timeouts,
)
from steward.testing.dataplane.proxy.exchange import Body, Handler, Headers, Request, Response, header
from tests.common.testing.dataplane.proxy.outbound_scenario import Scenario, served, within
from tests.common.testing.dataplane.proxy.outbound_side import (
    ANYTHING,
    OutboundSide,
    answering,
    backend,
    service,
)

NETWORK = Meta("policy.linkerd.io", "EgressNetwork", "all", "lab", 8080)
GRPC: Headers = (("content-type", "application/grpc"),)


async def two(side: OutboundSide, *matches: Match, **of_route: tuple[str, ...]) -> None:
    """A rule to v1 for these matches; everything else is not found."""
    v1 = backend(await side.plain(answering("v1")), name="v1")
    route = Route(Meta("g", "HTTPRoute", "split", "lab"), (Rule(matches, (v1,)),), **of_route)
    default = backend(await side.plain(answering("echo")))
    side.tell(replace(service(), http_routes=(route,), default=default))


def only(match: Match, path: str = "/other", headers: Headers = ()) -> Scenario:
    """A request that must not match."""

    async def scenario(side: OutboundSide) -> object:
        await two(side, match)
        return await served(side, path, headers)

    return scenario


async def other_host(side: OutboundSide) -> object:
    await two(side, *ANYTHING, hosts=("elsewhere.example",))
    return await served(side)


def overriding(*, ingress: bool) -> Scenario:
    """A request to one Service whose header names another."""

    async def scenario(side: OutboundSide) -> object:
        if ingress:
            side.as_ingress()
        side.names["named.lab.svc.cluster.local"] = "10.96.0.2"
        side.tell(service(await side.plain(answering("dialled"))))
        side.tell(service(await side.plain(answering("named"))), ("10.96.0.2", 80))
        return await served(side, headers=(("l5d-dst-override", "named.lab.svc.cluster.local"),))

    return scenario


async def matching(side: OutboundSide) -> object:
    await two(side, *ANYTHING)
    return await served(side)


async def routed(side: OutboundSide, **of_rule: object) -> None:
    side.tell(service(rule=replace(Rule(ANYTHING, (backend(await side.plain(answering("v1"))),)), **of_rule)))  # type: ignore[arg-type]


async def shares(side: OutboundSide) -> object:
    backends = [backend(await side.plain(answering(name)), name=name, weight=n) for name, n in (("v1", 3), ("v2", 1))]
    side.tell(service(rule=Rule(ANYTHING, tuple(backends))))
    return [await served(side) for _ in range(8)].count("v1")


async def changed_route(side: OutboundSide) -> object:
    v1, v2 = [backend(await side.plain(answering(name)), name=name) for name in ("v1", "v2")]
    connection = await side.http()
    names = []
    for each in (v1, v2):
        side.tell(service(rule=Rule(ANYTHING, (each,))))
        response = await connection.send(Request("GET", "/", "echo"))
        await response.body.read()
        names.append(header(response.headers, "x-served-by"))
    return names


async def filtered(side: OutboundSide) -> object:
    await routed(side, requests=HeaderChange(set=(("x-lab", "1"),)), responses=HeaderChange(set=(("x-back", "1"),)))
    response = await side.ask()
    return "x-lab: 1" in header(response.headers, "x-seen"), header(response.headers, "x-back")


async def redirected(side: OutboundSide) -> object:
    await routed(side, redirect=Redirect(path="/new"))
    return await served(side)


async def missing(side: OutboundSide) -> object:
    side.tell(service(rule=Rule(ANYTHING, (Backend(Meta("", "default", "fail"), missing="Service not found x"),))))
    return await within(side, served(side))


async def egress(side: OutboundSide, *, denied: bool) -> object:
    allowed = backend(await side.plain(answering("outside")))
    chosen = replace(allowed, forbidden="traffic not allowed") if denied else allowed
    target = service(rule=Rule(ANYTHING, (chosen,)))
    side.tell(replace(target, parent=NETWORK, default=chosen, balance=False))
    return await served(side)


async def egress_denied(side: OutboundSide) -> object:
    return await egress(side, denied=True)


async def egress_allowed(side: OutboundSide) -> object:
    return await egress(side, denied=False)


async def profiled(side: OutboundSide, route: ProfileRoute, app: Handler, **more: float) -> str:
    endpoint = await side.plain(app)
    profile = replace(Profile("echo:8080", (route,)), **more)  # type: ignore[arg-type]
    side.tell(replace(service(endpoint), profile=profile))
    response = await side.ask()
    await response.body.read()
    return str(response.status)


async def retried_by_profile(side: OutboundSide) -> object:
    calls: list[int] = []

    async def failing(_: Request) -> Response:
        calls.append(1)
        return Response(503 if len(calls) < 4 else 200)

    return await profiled(side, ProfileRoute("all", retryable=True), failing, retry_ratio=1.0, min_retries_per_second=0)


async def used_profile(side: OutboundSide) -> object:
    await profiled(side, ProfileRoute("all"), answering("echo"))
    return side.counted("route_request_total")


async def asked_anew(side: OutboundSide) -> object:
    told = side.tell(service(await side.plain(answering("echo"))))
    connection = await side.http()
    await (await connection.send(Request("GET", "/", "echo"))).body.read()
    connection.close()
    return await within(side, told.closed.wait())


def retry(times: int, *, body: bool = False) -> Scenario:
    """The status after an application failed so often, with two retries allowed."""

    async def scenario(side: OutboundSide) -> object:
        calls: list[int] = []

        async def failing(request: Request) -> Response:
            await request.body.read()
            calls.append(1)
            return Response(503 if len(calls) <= times else 200)

        rule = Rule(ANYTHING, (backend(await side.plain(failing)),), retry=Retry(((500, 599),), limit=2))
        side.tell(service(rule=rule))
        return (await side.ask("/", body=Body.of(b"x") if body else None)).status

    return scenario


def timed(limit: int) -> Scenario:
    """The status of a response that takes 600 ms."""

    async def scenario(side: OutboundSide) -> object:
        async def slow(_: Request) -> Response:
            await side.clock.sleep(timedelta(milliseconds=600))
            return Response(200)

        limits = Timeouts(request=timedelta(milliseconds=limit))
        side.tell(service(rule=Rule(ANYTHING, (backend(await side.plain(slow)),), timeouts=limits)))
        return (await side.ask()).status

    return scenario


async def overridden(side: OutboundSide) -> object:
    calls: list[int] = []

    async def failing(_: Request) -> Response:
        calls.append(1)
        return Response(503)

    side.tell(service(rule=Rule(ANYTHING, (backend(await side.plain(failing)),))))
    await side.ask("/", (("l5d-retry-http", "5xx"),))
    return len(calls)
