"""The Secret in which Helm remembers a release: evidence of who owns an installation."""

from base64 import b64encode
from datetime import datetime
from gzip import compress
from json import dumps

from steward.jsonvalue import JsonObject
from steward.testing.linkerd.objects import labelled, secret
from steward.testing.linkerd.values import NAMESPACE, Installation


def release_secret(
    chart: str, installation: Installation, revision: int, now: datetime, *, status: str = "deployed"
) -> JsonObject:
    """The Secret of one revision. The manifest in it is left empty: nobody but helm itself reads that."""
    stamp = now.isoformat()
    release: JsonObject = {
        "name": chart,
        "namespace": NAMESPACE,
        "version": revision,
        "manifest": "",
        "config": installation.changed if chart == "linkerd-control-plane" else {},
        "info": {
            "first_deployed": stamp,
            "last_deployed": stamp,
            "deleted": "",
            "description": "Upgrade complete" if revision > 1 else "Install complete",
            "status": status,
        },
        "chart": {
            "metadata": {
                "apiVersion": "v2",
                "name": chart,
                "version": installation.release.chart,
                "appVersion": installation.release.version,
            },
            "templates": [],
            "values": {},
        },
    }
    # Helm encodes the compressed document itself before Kubernetes does so once more.
    encoded = b64encode(compress(dumps(release).encode(), mtime=0)).decode()
    made = secret(f"sh.helm.release.v1.{chart}.v{revision}", {"release": encoded}, kind="helm.sh/release.v1")
    return labelled(made, {"owner": "helm", "name": chart, "status": status, "version": str(revision)})
