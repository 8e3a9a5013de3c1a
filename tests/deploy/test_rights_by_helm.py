"""Whole upgrade of a Linkerd that Helm installed, with no rights but those that deploy/ grants."""

from pathlib import Path

import pytest

from steward.testing.cluster.installation import Linkerd
from tests.deploy.rightful import travel

pytestmark = pytest.mark.cluster


@pytest.mark.usefixtures("renderer")
async def test_the_services_need_no_right_that_they_were_not_given(linkerd: Linkerd, tmp_path: Path) -> None:
    assert await travel(linkerd, tmp_path, "Helm") == set()
