"""Lists in pages: never more than a page in flight, and one consistent version for all of them."""

from collections.abc import AsyncGenerator
from dataclasses import dataclass

from steward.jsonvalue import JsonObject, rows, text
from steward.kube.errors import Gone
from steward.kube.exchange import Caller, Exchange
from steward.kube.resources import Resource

_BEGIN_AGAIN = 3


@dataclass(frozen=True, slots=True)
class Listing:
    """All objects as they were at one resource version."""

    items: list[JsonObject]
    resource_version: str


@dataclass(frozen=True, slots=True)
class Page:
    """Some of them. Items of a list carry neither `kind` nor `apiVersion`; here they do."""

    items: list[JsonObject]
    resource_version: str
    more: str


@dataclass(frozen=True, slots=True)
class Paging:
    """What to list and in which portions."""

    resource: Resource
    namespace: str | None
    labels: str
    fields: str
    page_size: int

    async def pages(self, caller: Caller) -> AsyncGenerator[Page, None]:
        """Page after page; `Gone` where the server no longer has the version of the first."""
        page = await self._page(caller, "")
        yield page
        while page.more:
            page = await self._page(caller, page.more)
            yield page

    async def _page(self, caller: Caller, token: str) -> Page:
        size = str(self.page_size) if self.page_size else ""
        asked = {"limit": size, "labelSelector": self.labels, "fieldSelector": self.fields, "continue": token}
        query = {key: value for key, value in asked.items() if value}
        where = f" in {self.namespace!r}" if self.namespace else ""
        path = self.resource.path(self.namespace)
        found = await caller.json(Exchange(f"list {self.resource}{where}", "GET", path, query))
        items = rows(found, "items")
        for item in items:
            item.setdefault("apiVersion", self.resource.api_version)
            item.setdefault("kind", self.resource.kind)
        return Page(items, text(found, "metadata", "resourceVersion"), text(found, "metadata", "continue"))


async def read_pages(caller: Caller, paging: Paging) -> Listing:
    """All pages as one list, begun again a few times where a version expired on the way."""
    for _ in range(_BEGIN_AGAIN):
        try:
            return await _read_once(caller, paging)
        except Gone:
            continue
    # A cluster that compacts faster than we page: one large answer is always consistent.
    whole = Paging(paging.resource, paging.namespace, paging.labels, paging.fields, 0)
    return await _read_once(caller, whole)


async def _read_once(caller: Caller, paging: Paging) -> Listing:
    items: list[JsonObject] = []
    version = ""
    async for page in paging.pages(caller):
        items += page.items
        version = page.resource_version
    return Listing(items, version)
