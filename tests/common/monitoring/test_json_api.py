"""An HTTP API that answers JSON, and everything that it may answer instead."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from aiohttp import web

from steward.errors import ConfigurationError
from steward.monitoring.alertmanager import Alertmanager
from steward.monitoring.json_api import Address, JsonApi, MonitoringError, Refused, Unreachable
from steward.monitoring.prometheus import Prometheus, numbers, span
from steward.testing.nats import free_ports

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(answer: Answer, **given: object) -> AsyncIterator[JsonApi]:
    """An API that gives this one answer to everything."""
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        address = Address(url, **{"timeout": timedelta(seconds=5), **given})  # type: ignore[arg-type] # as the test says
        async with JsonApi.open(address, "Prometheus") as api:
            yield api
    finally:
        await runner.cleanup()


def says(status: int, body: str) -> Answer:
    async def answer(_request: web.Request) -> web.Response:
        return web.Response(status=status, text=body)

    return answer


async def test_json_comes_as_it_was_said() -> None:
    async with serving(says(200, '{"data": {"version": "3.12.0"}}')) as api:
        assert await api.get("/x") == {"data": {"version": "3.12.0"}}


@pytest.mark.parametrize(("body", "found"), [("", None), ("OK", "OK")], ids=["nothing", "a word"])
async def test_an_order_that_is_answered_with_a_word_or_nothing_was_carried_out(body: str, found: str | None) -> None:
    async with serving(says(200, body)) as api:
        assert await api.post("/-/reload") == found


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (400, '{"status":"error","errorType":"bad_data","error":"1:5: parse error"}', "1:5: parse error"),
        (500, "failed to reload config: broken\n", "failed to reload config: broken"),
        (403, "", "nothing"),
        (404, "not found", "not found"),
    ],
    ids=["JSON", "text", "silence", "no such path"],
)
async def test_a_refusal_keeps_the_words_of_whoever_refuses(status: int, body: str, said: str) -> None:
    async with serving(says(status, body)) as api:
        with pytest.raises(Refused, match=f"Prometheus at {api.url} answers GET /x with {status}: ") as refused:
            await api.get("/x")
    assert (refused.value.status, refused.value.said) == (status, said)


@pytest.mark.parametrize(
    ("status", "body", "remedy"),
    [
        (200, "<html>welcome</html>", "a page for people: look whether that is its address"),
        (302, "", "302: look whether that is its address"),
        (404, "not found", "404: look whether that is its address: not found"),
        (405, "", "405: look whether that is its address"),
        (401, "", "401: name the file of a bearer token"),
        (403, "<html>who are you?</html>", "403: name the file of a bearer token"),
    ],
)
async def test_somebody_else_under_its_address_is_told_from_it(status: int, body: str, remedy: str) -> None:
    async with serving(says(status, body)) as api:
        for ask in (api.get("/x"), api.post("/x")):
            with pytest.raises(MonitoringError, match=f"Prometheus at {api.url} answers .* with {remedy}"):
                await ask


async def test_a_token_that_is_not_taken_is_named_by_its_file_and_a_password_not_at_all(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("old")
    async with serving(says(401, "")) as api, JsonApi.open(Address(api.url, token_file=token), "Prometheus") as own:
        with pytest.raises(Refused, match=f"the bearer token in {token} is not one that it takes"):
            await own.get("/x")
        with_password = Address(api.url.replace("://", "://me:s3cret@"))
        async with JsonApi.open(with_password, "Prometheus") as shown:
            assert shown.url == api.url
            with pytest.raises(Refused) as refused:
                await shown.get("/x")
    assert "s3cret" not in str(refused.value)


async def test_one_that_does_not_say_its_version_is_somebody_else() -> None:
    async with serving(says(200, '{"status": "ok"}')) as api:
        with pytest.raises(Unreachable, match=r"Prometheus at .* does not say its version: look whether"):
            await Prometheus(api).about()
        with pytest.raises(Unreachable, match="does not say its version: look whether"):
            await Alertmanager(api).status()


@pytest.mark.parametrize("status", [429, 502, 503])
async def test_who_says_come_again_is_not_refusing(status: int) -> None:
    async with serving(says(status, "busy")) as api:
        with pytest.raises(Unreachable, match="busy"):
            await api.get("/x")


async def test_nobody_there_is_named_with_its_address() -> None:
    port = free_ports(1)[0]
    async with JsonApi.open(Address(f"http://127.0.0.1:{port}"), "Alertmanager") as api:
        with pytest.raises(Unreachable, match=f"Alertmanager at http://127.0.0.1:{port} cannot be reached"):
            await api.get("/x")


async def test_one_that_never_answers_is_given_up() -> None:
    released = asyncio.Event()

    async def hang(_request: web.Request) -> web.Response:
        await released.wait()
        return web.Response()

    async with serving(hang, timeout=timedelta(milliseconds=200)) as api:
        with pytest.raises(Unreachable, match=r"did not answer GET /x within 0\.2 s"):
            await api.get("/x")
        released.set()


async def test_an_endless_answer_is_not_read_to_its_end() -> None:
    async def endless(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            for _ in range(64):
                await response.write(b"x" * 1024 * 1024)
        except (ConnectionError, OSError):
            pass
        return response

    async with serving(endless, timeout=timedelta(seconds=60)) as api:
        with pytest.raises(Unreachable, match="answers more than"):
            await api.get("/x")


async def test_the_token_is_read_again_for_every_question(tmp_path: Path) -> None:
    shown: list[str] = []

    async def look(request: web.Request) -> web.Response:
        shown.append(request.headers.get("authorization", ""))
        return web.json_response({})

    token = tmp_path / "token"
    token.write_text("one\n")
    async with serving(look, token_file=token) as api:
        await api.get("/x")
        token.write_text("two\n")
        await api.get("/x")
        token.unlink()
        with pytest.raises(Unreachable, match="the token for Prometheus cannot be read from"):
            await api.get("/x")
    assert shown == ["Bearer one", "Bearer two"]


async def test_a_useless_authority_is_an_error_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "ca.crt").write_text("no certificate")
    with pytest.raises(ConfigurationError, match=r"the authority in .*ca\.crt cannot be used"):
        async with JsonApi.open(Address("https://127.0.0.1:1", ca_file=tmp_path / "ca.crt"), "Prometheus"):
            pass


async def test_what_is_not_there_is_deleted_already() -> None:
    async with serving(says(404, "silence not found")) as api:
        await api.delete("/api/v2/silence/1")


@pytest.mark.parametrize(
    ("said", "found"),
    [("3.12.0", (3, 12, 0)), ("2.42.0+ds", (2, 42, 0)), ("v0.25", (0, 25, 0)), ("unknown", ()), ("", ())],
)
def test_versions_are_read_as_numbers(said: str, found: tuple[int, ...]) -> None:
    assert numbers(said) == found


@pytest.mark.parametrize(
    ("said", "found"),
    [
        ("15d", timedelta(days=15)),
        ("6h", timedelta(hours=6)),
        ("15d or 2GiB", timedelta(days=15)),
        ("1w2d", timedelta(days=9)),
        ("1m30s", timedelta(seconds=90)),
        ("500ms", timedelta(milliseconds=500)),
        ("2GiB", None),
        ("0s", None),
        ("", None),
    ],
)
def test_durations_of_prometheus_are_read(said: str, found: timedelta | None) -> None:
    assert span(said) == found
