"""The sink of webhooks records what was posted and answers as it was told."""

import asyncio
from datetime import timedelta

import aiohttp
import pytest

from steward.testing.monitoring.inbox import NothingCame
from steward.testing.monitoring.webhooks import HANG, Reply, WebhookSink


async def _post(url: str, document: object = None, **headers: str) -> tuple[int, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.post(url, json=document or {}, headers=headers, allow_redirects=False) as answer,
    ):
        return answer.status, await answer.text()


async def test_a_post_is_recorded_with_path_query_headers_and_body(webhook_sink: WebhookSink) -> None:
    answer = await _post(f"{webhook_sink.url}/v2/enqueue?async=1", {"event_action": "trigger"}, Authorization="Token t")

    (post,) = webhook_sink.posts
    assert answer == (200, "ok")
    assert (post.path, post.query, post.body, post.status) == (
        "/v2/enqueue",
        "async=1",
        {"event_action": "trigger"},
        200,
    )
    assert post.headers["authorization"] == "Token t"


async def test_answers_come_in_the_order_in_which_they_were_planned_and_then_as_usual(
    webhook_sink: WebhookSink,
) -> None:
    webhook_sink.answer(Reply(500, "broken"), times=2)
    webhook_sink.answer(Reply(429, "slower", (("Retry-After", "7"),)))

    statuses = [(await _post(webhook_sink.url))[0] for _ in range(4)]

    assert statuses == [500, 500, 429, 200]
    assert [post.status for post in webhook_sink.posts] == statuses


async def test_what_is_said_always_is_said_until_something_else_is(webhook_sink: WebhookSink) -> None:
    webhook_sink.answer(Reply(500))
    webhook_sink.always(Reply(403, "no"))
    assert [await _post(webhook_sink.url) for _ in range(2)] == [(403, "no")] * 2

    webhook_sink.always(Reply.of({"ok": True, "ts": "1.2"}))
    assert await _post(webhook_sink.url) == (200, '{"ok": true, "ts": "1.2"}')


async def test_a_redirect_names_the_other_place(webhook_sink: WebhookSink) -> None:
    async with WebhookSink(Reply.redirect(f"{webhook_sink.url}/moved")) as first, aiohttp.ClientSession() as session:
        async with session.post(f"{first.url}/here", json={"a": 1}) as answer:
            assert answer.status == 200

        assert [post.path for post in first.posts] == ["/here"]
        assert [(post.path, post.body) for post in webhook_sink.posts] == [("/moved", {"a": 1})]


async def test_one_that_hangs_gives_no_answer_while_others_are_answered(webhook_sink: WebhookSink) -> None:
    webhook_sink.answer(HANG)
    async with asyncio.TaskGroup() as tasks:
        hanging = tasks.create_task(_post(f"{webhook_sink.url}/hanging"))
        await webhook_sink.until(lambda post: post.path == "/hanging")
        assert (await _post(f"{webhook_sink.url}/other"))[0] == 200
        assert not hanging.done()
        hanging.cancel()


async def test_one_that_hangs_lets_go_when_the_sink_is_left() -> None:
    sink = WebhookSink(HANG)
    async with sink:
        hanging = asyncio.ensure_future(_post(f"{sink.url}/hanging"))
        post = await sink.until(lambda post: post.path == "/hanging")
        assert post.status == 0
    await asyncio.wait([hanging])


async def test_what_is_no_json_object_is_refused(webhook_sink: WebhookSink) -> None:
    assert await _post(webhook_sink.url, ["a", "list"]) == (400, "this takes JSON objects and nothing else")
    assert webhook_sink.posts == ()


async def test_waiting_finds_what_is_here_and_what_comes_later(webhook_sink: WebhookSink) -> None:
    await _post(f"{webhook_sink.url}/first")
    later = asyncio.ensure_future(webhook_sink.until(lambda post: post.path == "/second"))
    assert (await webhook_sink.until(lambda post: post.path == "/first")).path == "/first"

    await _post(f"{webhook_sink.url}/second")
    assert (await later).path == "/second"


async def test_waiting_for_what_does_not_come_lists_what_came(webhook_sink: WebhookSink) -> None:
    await _post(f"{webhook_sink.url}/other", {"alertname": "ProxyDown"})

    with pytest.raises(
        NothingCame, match=r"no such message within 0\.05 s; what came:\n- Post\(path='/other'.*ProxyDown"
    ):
        await webhook_sink.until(lambda post: post.path == "/wanted", within=timedelta(milliseconds=50))


async def test_a_sink_that_was_left_takes_nothing_and_its_port_can_be_taken_again() -> None:
    sink = WebhookSink()
    async with sink:
        await _post(sink.url)
    with pytest.raises(aiohttp.ClientConnectorError):
        await _post(sink.url)
    url = sink.url

    async with sink:
        await _post(sink.url)
        assert (sink.url, len(sink.posts)) == (url, 2)
