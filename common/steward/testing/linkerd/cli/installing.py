"""`linkerd install` and `linkerd upgrade`: print manifests, change nothing."""

import json
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager

from steward.clock import Clock
from steward.jsonvalue import JsonObject, text
from steward.testing.linkerd.certificates import Pair, Trust, webhook_pair
from steward.testing.linkerd.cli.api import Cluster, NotConfigured, login
from steward.testing.linkerd.cli.checking import Executable, asked, options_of
from steward.testing.linkerd.cli.checks import x509rules
from steward.testing.linkerd.cli.checks.existence import definitions_exist
from steward.testing.linkerd.cli.checks.identity import carried_bundle
from steward.testing.linkerd.cli.checks.kubernetes import has_gateway_api
from steward.testing.linkerd.cli.flags import Command, Flag, Parsed
from steward.testing.linkerd.cli.seen import Seen
from steward.testing.linkerd.cli.stored import (
    VALUE_FLAGS,
    Refused,
    given_trust,
    overrides_of,
    stored_installation,
)
from steward.testing.linkerd.manifests import crds, rendered
from steward.testing.linkerd.real_manifests import filled, read_manifests
from steward.testing.linkerd.values import Installation, Method, dump_all

_OUTPUT = Flag("output", "string", "Output format. One of: json|yaml", "o", "yaml")
_CRDS = Flag("crds", "bool", "Only render the custom resource definitions")
INSTALL = Command(
    "install",
    (
        _CRDS,
        _OUTPUT,
        Flag("ignore-cluster", "bool", "Ignore the current Kubernetes cluster when checking for existing resources"),
        *VALUE_FLAGS,
    ),
)
UPGRADE = Command(
    "upgrade",
    (
        _CRDS,
        _OUTPUT,
        Flag("force", "bool", "Force upgrade operation even when issuer certificate does not work"),
        *VALUE_FLAGS,
    ),
)
_ALREADY = """Unable to install the Linkerd control plane. It appears that there is an existing installation:

{existing}

If you are sure you'd like to have a fresh install, remove these resources with:

    linkerd install --ignore-cluster | kubectl delete -f -

Otherwise, you can use the --ignore-cluster flag to overwrite the existing global resources.
"""


def install(executable: Executable, parsed: Parsed, clock: Clock) -> int:
    """Print a new installation, with certificates made for it unless files give them."""
    if parsed.on("crds"):
        return _print(definitions(executable), parsed)
    if not parsed.on("ignore-cluster"):
        with look(executable, parsed, clock) as seen:
            if seen.config is not None:
                raise Refused(_ALREADY.format(existing='configmaps "linkerd-config"'))
            _must_have_definitions(seen, "install")
    trust = given_trust(parsed, Trust.for_cli(clock.now()))
    installation = Installation.planned(executable.release, trust, Method.CLI, overrides_of(parsed))
    return _print(control_plane(executable, installation, clock), parsed)


def upgrade(executable: Executable, parsed: Parsed, clock: Clock) -> int:
    """Print the installation in the cluster at this executable's release; issuer and anchors stay."""
    with look(executable, parsed, clock) as seen:
        installation = stored_installation(seen, parsed)
        if parsed.on("crds"):
            return _print(definitions(executable), parsed)
        _must_have_definitions(seen, "upgrade")
        if not parsed.on("force"):
            _issuer_must_suit(seen, installation)
    return _print(control_plane(executable, installation, clock), parsed)


@contextmanager
def look(executable: Executable, parsed: Parsed, clock: Clock) -> Iterator[Seen]:
    """The cluster that the flags name."""
    try:
        way = login(asked(parsed))
    except NotConfigured as problem:
        raise Refused(f"{problem}\n") from problem
    with closing(Cluster(way)) as cluster:
        yield Seen(cluster, options_of(executable, parsed), clock)


def definitions(executable: Executable) -> list[JsonObject]:
    """The CustomResourceDefinitions of this release."""
    if executable.manifests:
        return read_manifests(executable.manifests, executable.release, "crds")
    return crds(executable.release.version)


def control_plane(executable: Executable, installation: Installation, clock: Clock) -> list[JsonObject]:
    """The control plane of this release; each call makes webhook certificates of its own."""

    def make(service: str) -> Pair:
        return webhook_pair(service, clock.now())

    if not executable.manifests:
        return rendered(installation, make)
    real = read_manifests(executable.manifests, executable.release, "control-plane")
    return filled(real, installation, make)


def _must_have_definitions(seen: Seen, command: str) -> None:
    if definitions_exist(seen):
        raise Refused(f"Linkerd CRDs must be installed first. Run linkerd {command} with the --crds flag.\n")
    problem = has_gateway_api(seen)
    if problem:
        raise Refused(f"{problem}\n")


def _issuer_must_suit(seen: Seen, installation: Installation) -> None:
    """An issuer that some proxy's bundle does not lead to would cut that proxy off."""
    issuer = x509rules.read(installation.trust.issuer.certificate)[0]
    judged: dict[str, str] = {}
    unsuited = []
    for pod in seen.meshed_pods:
        bundle = carried_bundle(pod)
        if bundle is None:
            continue
        if bundle not in judged:
            judged[bundle] = x509rules.not_issued(issuer, x509rules.read(bundle))
        if judged[bundle]:
            unsuited.append(f"\t* {text(pod, 'metadata', 'namespace')}/{text(pod, 'metadata', 'name')}")
    if unsuited:
        raise Refused(
            "You are attempting to use an issuer certificate which does not validate against the trust anchors of the "
            "following pods:\n" + "\n".join(unsuited) + "\n"
        )


def _print(objects: Sequence[JsonObject], parsed: Parsed) -> int:
    if parsed.word("output", "yaml") == "json":
        sys.stdout.write("".join(f"{json.dumps(one)}\n" for one in objects))
    else:
        sys.stdout.write(dump_all(objects))
    return 0
