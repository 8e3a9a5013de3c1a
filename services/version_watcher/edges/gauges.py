"""The status as numbers for Prometheus."""

from datetime import datetime

from services.version_watcher.metrics import (
    CONTROL_PLANE,
    DRIFTS,
    EVENTS_OWED,
    HEAD,
    HEAD_AGE,
    HEAD_OBSERVED,
    LAST_SUCCESS,
    MOST_VERSIONS,
    PINNED,
    PROXIES,
    REGRESSED,
)
from steward.resources.release_catalog import MeshStatus, ReleaseCatalogStatus
from steward.service.instruments import Instruments


def show(instruments: Instruments, status: ReleaseCatalogStatus, owed: int, now: datetime) -> None:
    """Make the gauges say what the status says."""
    instruments.set(EVENTS_OWED, owed)
    heads = [each for each in status.channels if each.head is not None and each.head_observed_at is not None]
    shown: dict[tuple[str, ...], float] = {(each.name, each.head or ""): 1.0 for each in heads}
    instruments.show(HEAD, shown)
    seen = {(each.name,): each.head_observed_at for each in heads if each.head_observed_at is not None}
    instruments.show(HEAD_OBSERVED, {key: at.timestamp() for key, at in seen.items()})
    instruments.show(HEAD_AGE, {key: max(0.0, (now - at).total_seconds()) for key, at in seen.items()})
    instruments.show(REGRESSED, {(each.name,): float(each.regressed) for each in heads})
    read = {(each.name,): each.last_success_at for each in status.sources if each.last_success_at is not None}
    instruments.show(LAST_SUCCESS, {key: at.timestamp() for key, at in read.items()})
    _show_mesh(instruments, status.mesh or MeshStatus())


def _show_mesh(instruments: Instruments, mesh: MeshStatus) -> None:
    installed: dict[tuple[str, ...], float] = (
        {(mesh.control_plane, mesh.install_method or "Unknown"): 1.0} if mesh.control_plane else {}
    )
    instruments.show(CONTROL_PLANE, installed)
    proxies: dict[tuple[str, ...], float] = {}
    for place, each in enumerate(sorted(mesh.proxies, key=lambda proxy: -proxy.pods)):
        # An image tag can be anything: only so many become labels.
        label = (each.version or "unknown",) if place < MOST_VERSIONS else ("other",)
        proxies[label] = proxies.get(label, 0.0) + each.pods
    instruments.show(PROXIES, proxies)
    instruments.set(PINNED, mesh.pinned_pods)
    instruments.show(DRIFTS, {(each.kind.value,): float(each.count) for each in mesh.drifts})
