"""Events tell the story and never stand in the way."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

from steward.jsonvalue import text, whole
from steward.kube.client import Kube
from steward.kube.recorder import EventRecorder, Reference, reference_to
from steward.kube.resources import EVENTS
from steward.testing.kubernetes.faults import BROKEN, Refuse
from steward.testing.kubernetes.server import FakeKubernetes
from tests.common.kube.observing import config_map

_RUN = Reference("steward.linkerd.io/v1alpha1", "UpgradeRun", "", "edge-26-8-3", "0c3e")
_SOON = timedelta(seconds=5)


@asynccontextmanager
async def recording(kube: Kube) -> AsyncIterator[EventRecorder]:
    recorder = EventRecorder(kube, "steward.linkerd.io/upgrader", "upgrader-0")
    async with asyncio.TaskGroup() as tasks:
        running = tasks.create_task(recorder.run())
        yield recorder
        running.cancel()


async def test_an_event_names_object_reason_and_reporter(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    made = fake_kubernetes.cluster.create(EVENTS, {"metadata": {"name": "x"}}, "default")
    about = reference_to(made)
    async with recording(kube) as recorder:
        recorder.record(_RUN, "Normal", "StepDone", "control plane runs edge-26.8.3")
        recorder.record(about, "Warning", "Odd", "an event about an event")
        await recorder.flush(_SOON)
    events = {text(one, "reason"): one for one in fake_kubernetes.cluster.list(EVENTS) if text(one, "reason")}
    done = events["StepDone"]
    assert text(done, "metadata", "namespace") == "default", "an object without a namespace has its events here"
    assert text(done, "regarding", "name") == "edge-26-8-3"
    assert text(done, "regarding", "uid") == "0c3e"
    assert (text(done, "type"), text(done, "note")) == ("Normal", "control plane runs edge-26.8.3")
    assert text(done, "reportingController") == "steward.linkerd.io/upgrader"
    assert text(done, "reportingInstance") == "upgrader-0"
    assert text(done, "eventTime").endswith("Z")
    assert text(events["Odd"], "regarding", "kind") == "Event"


async def test_what_repeats_is_counted_in_one_event(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    async with recording(kube) as recorder:
        for _ in range(5):
            recorder.record(_RUN, "Warning", "GateRed", "2 pods are not ready")
        recorder.record(_RUN, "Warning", "GateRed", "1 pod is not ready")
        await recorder.flush(_SOON)
    events = {text(one, "note"): one for one in fake_kubernetes.cluster.list(EVENTS)}
    assert len(events) == 2
    assert whole(events["2 pods are not ready"], "series", "count") == 5
    assert "series" not in events["1 pod is not ready"]


async def test_an_event_that_was_swept_away_is_written_anew(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    async with recording(kube) as recorder:
        recorder.record(_RUN, "Normal", "Paused", "by hand")
        await recorder.flush(_SOON)
        (first,) = fake_kubernetes.cluster.list(EVENTS)
        fake_kubernetes.endpoints.undertaker.delete(EVENTS, text(first, "metadata", "name"), "default")
        recorder.record(_RUN, "Normal", "Paused", "by hand")
        await recorder.flush(_SOON)
    assert len(fake_kubernetes.cluster.list(EVENTS)) == 1


async def test_an_object_that_chatters_is_cut_short(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    async with recording(kube) as recorder:
        for number in range(40):
            recorder.record(_RUN, "Normal", "Chatter", f"number {number}")
        await recorder.flush(_SOON)
    assert len(fake_kubernetes.cluster.list(EVENTS)) == 25
    assert recorder.dropped == 15


async def test_an_api_server_that_refuses_events_disturbs_nobody(kube: Kube, fake_kubernetes: FakeKubernetes) -> None:
    fake_kubernetes.faults.add(Refuse(403, "Forbidden", "no events for you"), path="events", times=1)
    fake_kubernetes.faults.add(BROKEN, path="events", times=1, skip=1)
    async with recording(kube) as recorder:
        recorder.record(_RUN, "Normal", "One", "lost to a 403")
        recorder.record(_RUN, "Normal", "Two", "lost to a 500")
        recorder.record(_RUN, "Normal", "Three", "written")
        await recorder.flush(_SOON)
        assert recorder.dropped == 2
    assert [text(one, "reason") for one in fake_kubernetes.cluster.list(EVENTS)] == ["Three"]


async def test_without_a_writer_events_are_dropped_not_piled_up(kube: Kube) -> None:
    recorder = EventRecorder(kube, "steward.linkerd.io/upgrader", "upgrader-0")
    for number in range(1200):
        recorder.record(Reference("v1", "ConfigMap", "default", f"a{number}"), "Normal", "A", "a")
    assert recorder.dropped == 200
    await recorder.flush(timedelta(milliseconds=10))
    assert text(config_map("a"), "metadata", "name") == "a"
