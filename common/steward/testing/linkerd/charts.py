"""Helm charts of the stand-in objects, for real helm: the fallback where neither charts nor rendered objects are given.

The wrapping is that of `steward.testing.cluster.charts`, so that a chart behaves the same whatever objects are in it:
anchors and issuer come from values, webhook certificates are made anew at each render.
"""

from datetime import datetime
from pathlib import Path

from steward.testing.cluster import charts
from steward.testing.cluster.charts import Manifests
from steward.testing.linkerd.certificates import Trust
from steward.testing.linkerd.manifests import crds, rendered
from steward.testing.linkerd.release import Release
from steward.testing.linkerd.values import Installation, Method


def write_charts(directory: Path, version: str, now: datetime) -> Path:
    """Write `directory/<version>/charts/{linkerd-crds,linkerd-control-plane}` and return the folder of both."""
    release = Release(version)
    # The identity in these objects is a placeholder: each installation brings its own by values.
    placeholder = Trust.for_cli(now)
    installation = Installation.planned(release, placeholder, Method.HELM)
    objects = rendered(installation, lambda _service: placeholder.issuer)
    folder = directory / str(release.parsed) / "charts"
    folder.mkdir(parents=True, exist_ok=True)
    charts.write_charts(folder, release.parsed, Manifests(tuple(crds(version, Method.HELM)), tuple(objects)))
    return folder
