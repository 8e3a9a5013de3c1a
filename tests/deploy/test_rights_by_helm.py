"""Whole upgrade of a Linkerd that Helm installed, with no rights but those that deploy/ grants."""

from pathlib import Path

import pytest

from steward.testing.cluster.installation import Linkerd
from tests.deploy.rightful import travel
from tests.deploy.rights import unused

pytestmark = pytest.mark.cluster


# Granted for what a straight journey does not meet: a catalog that is not there yet, an Event that repeats itself, a
# run that is paused after a failure, a run that is forgotten when there are too many, a gate that asks conformance.
_NOT_ON_THIS_WAY = {
    "version-watcher": {"create releasecatalogs", "patch events"},
    "upgrader": {
        "patch events",
        "patch upgraderuns",
        "delete upgraderuns",
        "get conformanceruns",
        "create conformanceruns",
    },
}
# All but what one way to install or the other needs, and not both.
_ROLES = [
    ("version-watcher", "linkerd-steward-version-watcher", ""),
    ("version-watcher", "linkerd-steward-version-watcher", "linkerd"),
    ("version-watcher", "linkerd-steward-version-watcher", "default"),
    ("version-watcher", "version-watcher", "linkerd-steward"),
    ("upgrader", "linkerd-steward-upgrader", ""),
    ("upgrader", "upgrader", "linkerd-steward"),
]


@pytest.mark.usefixtures("renderer")
async def test_the_services_need_all_rights_that_they_were_given_and_no_other(linkerd: Linkerd, tmp_path: Path) -> None:
    travelled = await travel(linkerd, tmp_path, "Helm")
    assert travelled.refused == set()
    for account, role, namespace in _ROLES:
        left = unused(account, role, namespace, travelled.acts[account]) - _NOT_ON_THIS_WAY[account]
        assert left == set(), f"{role} in {namespace or 'the whole cluster'}"
