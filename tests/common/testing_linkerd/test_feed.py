"""The release feed says what was published, and anything else on demand."""

import asyncio
import hashlib
import io
import tarfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import httpx
import pytest
import pytest_asyncio
import yaml

from steward.testing.clock import ManualClock
from steward.testing.linkerd import feed as feeds
from steward.testing.linkerd.feed import ReleaseFeed

OLD, NEW = "edge-26.6.3", "edge-26.8.3"
AT = datetime(2026, 8, 21, 10, 0, tzinfo=UTC)


@pytest_asyncio.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient() as opened:
        yield opened


async def test_the_version_document_names_the_head(release_feed: ReleaseFeed, client: httpx.AsyncClient) -> None:
    release_feed.publish(OLD)
    assert (await client.get(release_feed.version_url)).json() == {"edge": OLD}
    release_feed.publish(NEW)
    assert (await client.get(release_feed.version_url)).json() == {"edge": NEW}
    release_feed.publish("stable-2.14.10")
    assert (await client.get(release_feed.version_url)).json() == {"edge": NEW, "stable": "stable-2.14.10"}
    release_feed.withdraw(NEW, head=OLD)
    assert (await client.get(release_feed.version_url)).json()["edge"] == OLD


async def test_what_did_not_change_is_not_sent_again(release_feed: ReleaseFeed, client: httpx.AsyncClient) -> None:
    release_feed.publish(OLD)
    for url in (release_feed.version_url, release_feed.releases_url, release_feed.helm_index_url):
        first = await client.get(url)
        again = await client.get(url, headers={"If-None-Match": first.headers["ETag"]})
        assert (again.status_code, again.content) == (304, b"")
        release_feed.publish(NEW)
        changed = await client.get(url, headers={"If-None-Match": first.headers["ETag"]})
        assert changed.status_code == 200
        release_feed.withdraw(NEW, head=OLD)
    assert [one.status for one in release_feed.asked[:3]] == [200, 304, 200]


async def test_releases_are_listed_newest_first_in_pages(release_feed: ReleaseFeed, client: httpx.AsyncClient) -> None:
    for number in range(1, 6):
        release_feed.publish(f"edge-26.8.{number}", at=AT + timedelta(days=number))
    page = (await client.get(release_feed.url + feeds.RELEASES, params={"per_page": 2, "page": 2})).json()
    assert [one["tag_name"] for one in page] == ["edge-26.8.3", "edge-26.8.2"]
    assert page[0]["published_at"] == "2026-08-24T10:00:00Z"
    release_feed.note("edge-26.8.3", "Not recommended.")
    one = (await client.get(f"{release_feed.url}{feeds.RELEASES}/tags/edge-26.8.3")).json()
    assert (one["body"], one["prerelease"], one["draft"]) == ("Not recommended.", False, False)


async def test_every_digest_is_right(release_feed: ReleaseFeed, client: httpx.AsyncClient) -> None:
    release_feed.publish(NEW)
    release_feed.put_cli(NEW, b"another executable")
    asset = (await client.get(release_feed.releases_url)).json()[0]["assets"][0]
    content = (await client.get(asset["browser_download_url"])).content
    assert content == b"another executable"
    assert asset["digest"] == f"sha256:{hashlib.sha256(content).hexdigest()}" == release_feed.digest(NEW)
    entry = yaml.safe_load((await client.get(release_feed.helm_index_url)).text)["entries"]["linkerd-control-plane"][0]
    chart = (await client.get(entry["urls"][0])).content
    assert hashlib.sha256(chart).hexdigest() == entry["digest"]
    assert (entry["version"], entry["appVersion"], entry["kubeVersion"]) == ("2026.8.3", NEW, ">=1.31.0-0")
    with tarfile.open(fileobj=io.BytesIO(chart)) as archive:
        assert archive.getnames() == ["linkerd-control-plane/Chart.yaml"]


async def test_the_addresses_are_those_the_upgrader_fills_in(
    release_feed: ReleaseFeed, client: httpx.AsyncClient
) -> None:
    release_feed.publish(NEW)
    cli = release_feed.cli_url.format(version=NEW, asset=f"linkerd2-cli-{NEW}-linux-amd64")
    assert (await client.get(cli)).status_code == 200
    assert (await client.get(f"{release_feed.charts_url}/linkerd-crds-2026.8.3.tgz")).status_code == 200
    assert (await client.get(f"{release_feed.url}/nothing")).status_code == 404


async def test_a_path_says_what_a_test_wants_until_it_is_healed(
    release_feed: ReleaseFeed, client: httpx.AsyncClient
) -> None:
    release_feed.publish(NEW)
    release_feed.fail(feeds.VERSION, status=503, headers={"Retry-After": "7"})
    failed = await client.get(release_feed.version_url)
    assert (failed.status_code, failed.headers["Retry-After"]) == (503, "7")
    assert (await client.get(release_feed.helm_index_url)).status_code == 200
    release_feed.say(feeds.VERSION, "<html>", content_type="text/html")
    assert (await client.get(release_feed.version_url)).text == "<html>"
    release_feed.redirect(feeds.VERSION, release_feed.helm_index_url)
    assert (await client.get(release_feed.version_url)).status_code == 302
    release_feed.heal(feeds.VERSION)
    release_feed.drop()
    with pytest.raises(httpx.HTTPError):
        await client.get(release_feed.version_url)
    release_feed.heal()
    assert (await client.get(release_feed.version_url)).json() == {"edge": NEW}


async def test_a_slow_answer_takes_as_long_as_the_clock_says(client: httpx.AsyncClient) -> None:
    clock = ManualClock()
    async with ReleaseFeed(clock) as feed, asyncio.timeout(30):
        feed.publish(NEW)
        feed.slow(feeds.VERSION, delay=timedelta(minutes=1))
        asking = asyncio.create_task(client.get(feed.version_url))
        await clock.until_somebody_sleeps()
        assert not asking.done()
        await clock.advance(timedelta(minutes=1))
        assert (await asking).json() == {"edge": NEW}


async def test_it_comes_back_on_the_same_address(release_feed: ReleaseFeed, client: httpx.AsyncClient) -> None:
    release_feed.publish(NEW)
    address = release_feed.version_url
    await release_feed.stop()
    with pytest.raises(httpx.ConnectError):
        await client.get(address)
    await release_feed.start()
    assert (await client.get(address)).json() == {"edge": NEW}
