"""Whole upgrade of a Linkerd that its CLI installed, with no rights but those that deploy/ grants."""

from pathlib import Path

import pytest

from steward.testing.cluster.installation import Linkerd
from tests.deploy.rightful import travel

pytestmark = pytest.mark.cluster

# `linkerd prune` looks for left-overs of every kind everywhere, and passes over what it may not list.
_REFUSED_ON_PURPOSE = {"LIST configmaps. cluster", "LIST secrets. cluster"}


@pytest.mark.usefixtures("renderer")
async def test_the_services_need_no_right_that_they_were_not_given_but_two_lists(
    linkerd: Linkerd, tmp_path: Path
) -> None:
    assert (await travel(linkerd, tmp_path, "CLI")).refused <= _REFUSED_ON_PURPOSE
