"""One look at many things: how long an answer stands in for one that failed, and what is noted."""

from datetime import timedelta

import pytest

from services.alerting.core.exported.unread import Fact, Unread
from services.alerting.edges.looking import TOO_OLD, Look, Memory, Question
from steward.kube.errors import Forbidden, KubeError, NotFound, ServerUnavailable, TooManyRequests, Unauthorized
from steward.kube.resources import MUTATING_WEBHOOKS, PODS, SECRETS
from steward.testing.clock import ManualClock

QUESTION = Question(Fact.CERTIFICATES, "get", SECRETS, "linkerd", "linkerd-identity-issuer")
A_MOMENT = timedelta(seconds=1)


async def answer(value: int) -> int:
    return value


async def failure(error: KubeError) -> int:
    raise error


@pytest.mark.parametrize(
    ("question", "words"),
    [
        (QUESTION, "get secrets linkerd/linkerd-identity-issuer"),
        (Question(Fact.CERTIFICATES, "get", MUTATING_WEBHOOKS, name="w"), f"get {MUTATING_WEBHOOKS} w"),
        (Question(Fact.MESH, "list", PODS, "shop"), "list pods in shop"),
        (Question(Fact.MESH, "list and watch", PODS), "list and watch pods"),
    ],
)
def test_a_question_is_asked_in_the_words_of_rbac(question: Question, words: str) -> None:
    assert str(question) == words


@pytest.mark.parametrize("kind", [ServerUnavailable, TooManyRequests])
async def test_a_passing_failure_is_bridged_by_the_last_answer_for_a_while(
    kind: type[KubeError], manual_clock: ManualClock
) -> None:
    memory, look = Memory[int](manual_clock), Look()
    error = kind("get secrets 'a'", "later")
    assert await look.take(memory, QUESTION, failure(error)) is None, "there is nothing to remember yet"
    assert await look.take(memory, QUESTION, answer(7)) == 7
    await manual_clock.advance(TOO_OLD - A_MOMENT)
    assert await look.take(memory, QUESTION, failure(error)) == 7
    await manual_clock.advance(2 * A_MOMENT)
    assert await look.take(memory, QUESTION, failure(error)) is None
    assert look.unread == [Unread(Fact.CERTIFICATES, "get secrets 'a': later")] * 3


@pytest.mark.parametrize(
    ("kind", "right"),
    [(Forbidden, "get secrets linkerd/linkerd-identity-issuer"), (Unauthorized, ""), (NotFound, "")],
)
async def test_a_refusal_is_an_answer_of_its_own_and_names_the_right_that_is_missing(
    kind: type[KubeError], right: str, manual_clock: ManualClock
) -> None:
    memory, look = Memory[int](manual_clock), Look()
    await look.take(memory, QUESTION, answer(7))
    assert await look.take(memory, QUESTION, failure(kind("get secrets 'a'", "no"))) is None
    assert look.unread == [Unread(Fact.CERTIFICATES, "get secrets 'a': no", right)]


async def test_an_answer_stands_in_for_its_own_question_only(manual_clock: ManualClock) -> None:
    memory, look = Memory[int](manual_clock), Look()
    await look.take(memory, QUESTION, answer(7))
    other = Question(Fact.CERTIFICATES, "get", SECRETS, "linkerd", "other")
    assert await look.take(memory, other, failure(ServerUnavailable("get", "later"))) is None
