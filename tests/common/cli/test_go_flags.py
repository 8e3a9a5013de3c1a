"""Flags as Linkerd, a Go program, writes them."""

from datetime import timedelta

import pytest

from steward.cli.go_flags import duration, members, spelled, spelled_out


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["check", "--proxy=false", "--wait=5m0s"], ["check", "--wait=5m0s"]),
        (["check", "--proxy=true", "--verbose=1"], ["check", "--proxy", "--verbose"]),
        (["check", "--proxy"], ["check", "--proxy"]),
        (["check", "--proxy=perhaps"], ["check", "--proxy=perhaps"]),
        (["check", "--context=true"], ["check", "--context=true"]),
        (["run", "--", "--proxy=false"], ["run", "--", "--proxy=false"]),
        ([], []),
    ],
)
def test_a_boolean_with_a_value_becomes_a_flag_or_nothing(given: list[str], read: list[str]) -> None:
    assert spelled_out(given) == read


@pytest.mark.parametrize(
    ("values", "read"),
    [
        (["[]"], ()),
        ([], ()),
        (["[system:masters]"], ("system:masters",)),
        (['[a,"b,c"]', "d"], ("a", "b,c", "d")),
        (["system:masters"], ("system:masters",)),
        (["a,b"], ("a", "b")),
    ],
)
def test_an_empty_list_is_no_member_named_brackets(values: list[str], read: tuple[str, ...]) -> None:
    assert members(values) == read


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("5m0s", timedelta(minutes=5)),
        ("10s", timedelta(seconds=10)),
        ("1h30m", timedelta(minutes=90)),
        ("250ms", timedelta(milliseconds=250)),
        ("1.5h", timedelta(minutes=90)),
        ("7d", timedelta(days=7)),
        ("0", timedelta(0)),
        (" 3s ", timedelta(seconds=3)),
    ],
)
def test_a_go_duration_is_understood(text: str, span: timedelta) -> None:
    assert duration(text) == span


@pytest.mark.parametrize("text", ["", "5", "abc", "-5s", "5 minutes", "1h-3m", "99999999999999999999d"])
def test_what_is_no_duration_is_refused_by_name(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        duration(text)


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=-1), "0s"),
        (timedelta(seconds=42.9), "42s"),
        (timedelta(minutes=3, seconds=4), "3m04s"),
        (timedelta(hours=2, minutes=5), "2h05m"),
        (timedelta(days=3, hours=4), "3d04h"),
    ],
)
def test_a_span_is_spelled_for_people(span: timedelta, text: str) -> None:
    assert spelled(span) == text
