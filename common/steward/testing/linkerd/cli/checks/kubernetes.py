"""The Kubernetes below: its version and the Gateway API."""

import re

from steward.jsonvalue import flag, rows, text
from steward.testing.linkerd.cli.checks.check import Check, Section
from steward.testing.linkerd.cli.seen import Seen

HTTP_ROUTES = "httproutes.gateway.networking.k8s.io"
GATEWAY_API_MISSING = (
    "The Gateway API CRDs must be installed prior to installing Linkerd. Run:\n\n"
    "kubectl apply --server-side -f "
    "https://github.com/kubernetes-sigs/gateway-api/releases/download/v1.5.1/standard-install.yaml\n\n"
    "or see https://gateway-api.sigs.k8s.io/guides/#installing-gateway-api for more options."
)


def _initialised(_seen: Seen) -> str:
    return ""


def _answers(seen: Seen) -> str:
    seen.cluster.get("/version")
    return ""


def _recent(seen: Seen) -> str:
    version = text(seen.cluster.get("/version"), "gitVersion")
    match = re.match(r"v?(\d+)\.(\d+)\.(\d+)", version)
    if match is None:
        return f"unknown version {version!r}"
    found, wanted = tuple(int(part) for part in match.groups()), seen.options.release.minimum_kubernetes
    if found >= wanted:
        return ""
    numbers = [".".join(str(part) for part in one) for one in (found, wanted)]
    return f"Kubernetes is on version [{numbers[0]}], but version [{numbers[1]}] or more recent is required"


def has_gateway_api(seen: Seen) -> str:
    """The routes of the Gateway API must be served as `v1`."""
    routes = seen.definition(HTTP_ROUTES)
    served = [text(one, "name") for one in rows(routes or {}, "spec", "versions") if flag(one, "served")]
    return "" if "v1" in served else GATEWAY_API_MISSING


API = Section(
    "kubernetes-api",
    (
        Check("can initialize the client", "k8s-api", _initialised, fatal=True),
        Check("can query the Kubernetes API", "k8s-api", _answers, fatal=True),
    ),
)
VERSION = Section(
    "kubernetes-version", (Check("is running the minimum Kubernetes API version", "k8s-version", _recent),)
)
GATEWAY_API = Section(
    "gateway-api-crd", (Check("Gateway API CRDs are installed", "gateway-api-crd", has_gateway_api, fatal=True),)
)
