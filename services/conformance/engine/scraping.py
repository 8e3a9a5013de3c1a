"""Controllers as a scraper finds them: pods by their label, ports by their names, pages by an agent."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence

from services.conformance.core.evidence import Scraped
from services.conformance.core.orders import Fetch, Fetched, Report, Target
from services.conformance.core.pages import NotAPage, page_of
from services.conformance.core.ports import Unable
from services.conformance.core.steps import Looked, Scrapes
from steward.jsonvalue import JsonObject, rows, text, whole
from steward.kube.resources import PODS
from steward.linkerd.marks import COMPONENT

Fetching = Callable[[Fetch], Awaitable[Report]]
"""An order to the agent by whom pages are read."""


def pods_of(step: Scrapes) -> Looked:
    """Where the controllers are found."""
    return Looked(step.name, PODS, step.namespace, labels=COMPONENT)


async def scraped(step: Scrapes, pods: Sequence[JsonObject], fetching: Fetching) -> dict[str, Scraped]:
    """What every container that is asked for shows. One that shows nothing says why, and hides no other."""
    asked = dict(_asked(step, pods))
    found = await asyncio.gather(*(_one(container, ip, names, fetching) for container, ip, names in asked.values()))
    return dict(zip(asked, found, strict=True))


def _asked(step: Scrapes, pods: Sequence[JsonObject]) -> Iterator[tuple[str, tuple[JsonObject, str, tuple[str, ...]]]]:
    for pod in pods:
        ip = text(pod, "status", "podIP")
        if not ip or text(pod, "metadata", "deletionTimestamp") or text(pod, "status", "phase") != "Running":
            continue
        for container in rows(pod, "spec", "containers"):
            name = text(container, "name")
            if name in step.ports:
                yield f"{text(pod, 'metadata', 'name')}/{name}", (container, ip, step.ports[name])


async def _one(container: JsonObject, ip: str, names: tuple[str, ...], fetching: Fetching) -> Scraped:
    declared = {text(port, "name"): whole(port, "containerPort") for port in rows(container, "ports")}
    ports = tuple(f"{name}:{number}" for name, number in declared.items())
    name = next((each for each in names if each in declared), "")
    if not name:
        return Scraped(ports, said="no port of that name")
    found = f"{name}:{declared[name]}"
    try:
        report = await fetching(Fetch(target=Target(host=ip, port=declared[name])))
    except Unable as refusal:
        return Scraped(ports, found, said=str(refusal))
    seen = report.seen
    if not isinstance(seen, Fetched) or seen.status is None:
        trouble = getattr(seen, "trouble", None)
        return Scraped(ports, found, said=f"{trouble}: {getattr(seen, 'message', '')}" if trouble else "no answer")
    if seen.status != 200:
        return Scraped(ports, found, seen.status, said=f"{seen.status}")
    try:
        return Scraped(ports, found, seen.status, await asyncio.to_thread(page_of, seen.body))
    except NotAPage as error:
        return Scraped(ports, found, seen.status, said=str(error))
