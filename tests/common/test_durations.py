"""Durations in settings are written as people write them."""

from datetime import timedelta

import pytest

from steward.bus.settings import BusSettings
from steward.durations import duration
from steward.errors import ConfigurationError
from steward.service.settings import LeaseSettings


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("30", 30), ("0.5", 0.5), ("30s", 30), ("250ms", 0.25), ("1.5m", 90), ("1h30m", 5400), ("2d", 172_800)],
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration(text) == timedelta(seconds=seconds)


def test_iso_durations_are_left_to_the_field() -> None:
    assert LeaseSettings.model_validate({"duration": "PT7S"}).duration == timedelta(seconds=7)


def test_every_group_and_the_bus_take_them() -> None:
    assert LeaseSettings.model_validate({"duration": "3"}).duration == timedelta(seconds=3)
    assert BusSettings.from_environment({"STEWARD_BUS__DRAIN_DEADLINE": "10s"}).drain_deadline == timedelta(seconds=10)


def test_nonsense_is_named() -> None:
    with pytest.raises(ConfigurationError, match="STEWARD_BUS__DRAIN_DEADLINE"):
        BusSettings.from_environment({"STEWARD_BUS__DRAIN_DEADLINE": "soon"})
