"""The pytest plugin: real parts and honest fakes as fixtures. Installed with the extra `testing`."""

import pytest

from steward.testing.clock import ManualClock


@pytest.fixture
def manual_clock() -> ManualClock:
    """A clock that stands still until the test moves it."""
    return ManualClock()
