"""One way at a time, and a reason that a person understands."""

import pytest

from services.alerting.core.delivery import Delivery, Wish, chosen

ALL = 4


@pytest.mark.parametrize("operator", [True, False])
def test_folders_win_over_an_operator_that_happens_to_be_there(operator: bool) -> None:
    assert chosen(Wish(Delivery.AUTO, ALL, reloads=True), operator_is_there=operator).by is Delivery.FILES


def test_without_folders_an_operator_is_used() -> None:
    assert chosen(Wish(Delivery.AUTO, 0, reloads=False), operator_is_there=True).by is Delivery.OPERATOR


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        (Wish(Delivery.OPERATOR, ALL, reloads=True), "both ways are configured"),
        (Wish(Delivery.AUTO, 2, reloads=True), "needs all of its four folders"),
        (Wish(Delivery.FILES, 0, reloads=True), "needs its four folders"),
        (Wish(Delivery.AUTO, ALL, reloads=False), "needs prometheus.url and alertmanager.url"),
        (Wish(Delivery.AUTO, 0, reloads=True), "neither folders for files are named, nor is the prometheus-operator"),
    ],
    ids=["both", "half", "no folders", "no addresses", "nothing"],
)
def test_half_a_way_is_none_and_says_what_is_missing(wish: Wish, said: str) -> None:
    found = chosen(wish, operator_is_there=wish.delivery is Delivery.OPERATOR)
    assert found.by is None
    assert said in found.message
