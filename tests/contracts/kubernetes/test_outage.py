"""The reflector and the lease over deaths of a real API server and of its etcd."""

import asyncio
import signal
from datetime import timedelta

import pytest

from steward.jsonvalue import text
from steward.kube.client import Kube, KubeOptions
from steward.kube.errors import KubeError
from steward.kube.lease import Lease, LeaseName
from steward.kube.pace import WatchPace
from steward.kube.reflector import Reflector
from steward.kube.resources import CONFIG_MAPS
from steward.testing.cluster.control_plane import ControlPlane
from tests.contracts.kubernetes.subject import Subject

pytestmark = pytest.mark.cluster

_PACE = WatchPace(first_wait=timedelta(milliseconds=100), longest_wait=timedelta(seconds=1))
_OPTIONS = KubeOptions(timeout=timedelta(seconds=5), watch=_PACE)


async def test_the_cache_is_true_again_after_a_kill_of_the_api_server(breakable_control_plane: ControlPlane) -> None:
    plane = breakable_control_plane
    async with asyncio.timeout(180), await Kube.connect(kubeconfig=plane.kubeconfig, options=_OPTIONS) as kube:
        subject = Subject(kube, "default", simulated=False)
        for name in ("kept", "gone"):
            await kube.create(CONFIG_MAPS, subject.config_map(name))
        maps = Reflector(kube, CONFIG_MAPS, trim=lambda found: text(found, "metadata", "uid"), namespace="default")
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(maps.run())
            await maps.synced.wait()
            assert {"default/kept", "default/gone"} <= set(dict(maps.items()))
            plane.kill("kube-apiserver", signal.SIGKILL)
            await subject.eventually(lambda: _answer(maps.problem is not None), bool)
            assert maps.get("default/kept"), "an outage empties no cache"
            await asyncio.to_thread(plane.revive, "kube-apiserver")
            await subject.eventually(lambda: _able(kube), bool)
            await kube.delete(CONFIG_MAPS, "gone", "default")
            await kube.create(CONFIG_MAPS, subject.config_map("new"))
            await subject.eventually(
                lambda: _answer(maps.get("default/new") is not None and maps.get("default/gone") is None), bool
            )
            assert maps.problem is None
            running.cancel()


async def test_a_leader_survives_a_short_outage_of_etcd(breakable_control_plane: ControlPlane) -> None:
    plane = breakable_control_plane
    async with asyncio.timeout(180), await Kube.connect(kubeconfig=plane.kubeconfig, options=_OPTIONS) as kube:
        subject = Subject(kube, "default", simulated=False)
        lease = Lease(kube, LeaseName("default", "outage", "us"), timedelta(seconds=60))
        async with lease.held() as leadership:
            plane.kill("etcd", signal.SIGKILL)
            await asyncio.to_thread(plane.revive, "etcd")
            await subject.eventually(lambda: _able(kube), bool)
            assert lease.token == leadership.token
        assert lease.token == 0


async def _answer(value: bool) -> bool:
    return value


async def _able(kube: Kube) -> bool:
    try:
        await kube.get(CONFIG_MAPS, "kube-root-ca.crt", "default")
    except KubeError:
        return False
    return True
