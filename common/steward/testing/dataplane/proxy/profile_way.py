"""The way of a request through a ServiceProfile: its routes, response classes, retries within a budget, timeouts."""

import asyncio
import re
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

from steward.testing.dataplane.config import Backend, Profile, ProfileRoute
from steward.testing.dataplane.proxy import outbound_faults as broken
from steward.testing.dataplane.proxy.attempt import Backing, attempt
from steward.testing.dataplane.proxy.exchange import Request, Response, header, with_header
from steward.testing.dataplane.proxy.failures import ExchangeFailed
from steward.testing.dataplane.proxy.grpc_codes import classify
from steward.testing.dataplane.proxy.outbound_context import OutboundContext
from steward.testing.dataplane.proxy.own_errors import (
    MISSING_BACKEND,
    PROFILE_TIMEOUT,
    OwnError,
    is_grpc,
    load_shed,
    spelled,
)
from steward.testing.dataplane.proxy.passing_body import passing
from steward.testing.dataplane.proxy.replay import Replay
from steward.testing.dataplane.proxy.retries import Budget, BudgetPolicy
from steward.testing.dataplane.proxy.target import Target

_ANY = ProfileRoute("")
CANONICAL = "l5d-dst-canonical"
"""By this header the server's proxy knows the profile; the application sees it too."""


def classified(route: ProfileRoute, status: int, code: str) -> str:
    """By the response classes of a route; by the usual rule where they say nothing."""
    for first, last, is_failure in route.failures:
        if first <= status <= last:
            return "failure" if is_failure else "success"
    return classify(status, code)


def route_of(profile: Profile, request: Request) -> ProfileRoute:
    """The first route that fits."""
    path = request.path.partition("?")[0]
    for route in profile.routes:
        fits = not route.path_regex or re.fullmatch(route.path_regex, path) is not None
        if fits and (not route.method or route.method == request.method):
            return route
    return _ANY


@dataclass(frozen=True, slots=True)
class _Course:
    profile: Profile
    route: ProfileRoute
    labels: dict[str, str]


class ProfileWay:
    """For the requests of one target."""

    def __init__(self, context: OutboundContext, target: Target) -> None:
        self._context = context
        self._target = target
        self._budgets: dict[BudgetPolicy, Budget] = {}

    async def handle(self, request: Request, profile: Profile) -> Response:
        """Raises `OwnError`, or what the connection to the server failed with."""
        route = route_of(profile, request)
        request = replace(request, headers=with_header(request.headers, CANONICAL, profile.authority))
        named = {"direction": "outbound", "dst": profile.authority}
        course = _Course(profile, route, named | ({"rt_route": route.name} if route.name else {}))
        self._count("request", course)
        begun = self._context.clock.monotonic()
        try:
            response = await self._in_time(course, request)
        except OwnError as error:
            self._failed("response", course, "timeout" if error.kind is PROFILE_TIMEOUT else "unclassified")
            raise
        except BaseException:
            self._failed("response", course, "unclassified")
            raise
        elapsed = (self._context.clock.monotonic() - begun) * 1000
        status = str(response.status)
        self._context.metrics.observe("route_response_latency_ms", elapsed, status_code=status, **course.labels)
        return self._watched("response", course, response)

    async def _in_time(self, course: _Course, request: Request) -> Response:
        limit = course.route.timeout
        if limit is None or self._context.broken(broken.NO_TIMEOUTS):
            return await self._persistent(course, request)
        try:
            async with asyncio.timeout(limit.total_seconds()):
                return await self._persistent(course, request)
        except TimeoutError:
            raise OwnError(PROFILE_TIMEOUT, f"HTTP response timeout after {spelled(limit)}") from None

    async def _persistent(self, course: _Course, request: Request) -> Response:
        budget = self._budget(course.profile)
        budget.deposit(self._context.clock.monotonic())
        for skipped in ({}, {"skipped": "no_budget"}):
            self._context.metrics.count("route_retryable_total", 0, **course.labels, **skipped)
        retryable = course.route.retryable and not request.wants_upgrade and not self._context.broken(broken.NO_RETRIES)
        replay = Replay(request.body)
        for _ in count():
            body = replay.body() if retryable else replay.once()
            response = await self._tried(course, replace(request, body=body))
            failed = classified(course.route, response.status, _code(response)) == "failure"
            if not (retryable and failed and replay.possible and self._affordable(course, budget)):
                return response
            await response.body.close()
        raise AssertionError(request)

    def _affordable(self, course: _Course, budget: Budget) -> bool:
        granted = budget.withdraw(self._context.clock.monotonic()) or self._context.broken(broken.RETRY_BUDGET_IGNORED)
        skipped = {} if granted else {"skipped": "no_budget"}
        self._context.metrics.count("route_retryable_total", 1, **course.labels, **skipped)
        return granted

    def _budget(self, profile: Profile) -> Budget:
        policy = BudgetPolicy(profile.retry_ratio, profile.min_retries_per_second)
        return self._budgets.setdefault(policy, Budget(policy))

    async def _tried(self, course: _Course, request: Request) -> Response:
        backend = self._picked(course.profile)
        balancer = self._target.balancer("http", backend)
        if balancer.shedding:
            raise load_shed()
        self._count("actual_request", course)
        try:
            response = await attempt(self._context, Backing(balancer, partial(classified, course.route)), request)
        except (OwnError, ExchangeFailed):
            # One that was given up for its timeout is counted at its route alone.
            self._failed("actual_response", course, "unclassified")
            raise
        return self._watched("actual_response", course, response)

    def _picked(self, profile: Profile) -> Backend:
        default = self._target.current.default
        backends = profile.overrides or ((default,) if default is not None else ())
        picked = self._target.shares.pick(backends, lambda backend: backend.weight)
        if picked is None:
            raise OwnError(MISSING_BACKEND, "no backend has any weight")
        return picked

    def _watched(self, what: str, course: _Course, response: Response) -> Response:
        if response.upgrade is not None or response.body.empty:
            self._answered(what, course, response, whole=True)
            return response
        over = partial(self._over, what, course, response)
        return replace(response, body=passing(response.body, lambda _: None, over))

    def _over(self, what: str, course: _Course, response: Response, whole: bool) -> None:  # noqa: FBT001
        self._answered(what, course, response, whole=whole)

    def _answered(self, what: str, course: _Course, response: Response, *, whole: bool) -> None:
        code = _code(response)
        self._count(
            what,
            course,
            status_code=str(response.status),
            classification=classified(course.route, response.status, code) if whole else "failure",
            grpc_status=code,
            error="" if whole else "unclassified",
        )

    def _failed(self, what: str, course: _Course, error: str) -> None:
        self._count(what, course, classification="failure", grpc_status="", error=error)

    def _count(self, what: str, course: _Course, **more: str) -> None:
        self._context.metrics.count(f"route_{what}_total", **course.labels, **more)


def _code(response: Response) -> str:
    if not is_grpc(response.headers):
        return ""
    return header((*response.body.trailers, *response.headers), "grpc-status")
