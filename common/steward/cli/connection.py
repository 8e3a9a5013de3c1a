"""How a command reaches the API server and NATS.

NATS is found by `--nats`, by STEWARD_NATS, by the variables STEWARD_BUS__…, or through a port-forward to the pod behind
its Service, with the credentials of the Secret there. Those are never printed.
"""

import base64
import binascii
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from steward.bus.client import Bus
from steward.bus.errors import BusUnreachable
from steward.bus.settings import BusSettings
from steward.cli.behind_service import ServicePort, pod_behind
from steward.cli.environment import Environment
from steward.cli.kubeconfig import choose
from steward.cli.options import Session
from steward.errors import ConfigurationError
from steward.jsonvalue import text, texts
from steward.kube.client import Kube, KubeOptions
from steward.kube.errors import Forbidden
from steward.kube.portforward import port_forward
from steward.kube.resources import NAMESPACES, SECRETS
from steward.kube.transport import Impersonation

NAMESPACE = "linkerd-steward"
NATS_SERVICE = "nats"
NATS_PORT = 4222
NATS_SECRET = "steward-nats-users"
NATS_USER = "cli"
NATS_SUBSCRIBER = "subscriber"
NATS_USERS = ("version-watcher", "upgrader", "conformance", "alerting", "exerciser", "cli", "subscriber")
NATS_ROUTES = "routes"
_NATS_REMEDY = "name the servers with --nats or STEWARD_NATS, or install Steward: linkerd steward install"
_SERVERS = "STEWARD_BUS__SERVERS"
_PATIENCE = "STEWARD_BUS__CONNECT_TIMEOUT"
_CONNECT_WITHIN = "PT8S"
_IDENTITIES = (
    "STEWARD_BUS__USER",
    "STEWARD_BUS__TOKEN",
    "STEWARD_BUS__CREDENTIALS_FILE",
    "STEWARD_BUS__NKEY_SEED_FILE",
)


@asynccontextmanager
async def cluster(session: Session) -> AsyncIterator[Kube]:
    """The API server that the flags and the environment name."""
    flags = session.flags
    if flags.groups and not flags.as_user:
        raise ConfigurationError("--as-group needs --as: a group is impersonated together with a user")
    impersonate = Impersonation(flags.as_user, flags.groups) if flags.as_user else None
    chosen = choose(flags.kubeconfig, flags.context, session.environment)
    kube = await Kube.connect(
        kubeconfig=chosen.files,
        context=chosen.context,
        clock=session.clock,
        options=KubeOptions(impersonate=impersonate, manager="linkerd-steward-cli"),
    )
    async with kube:
        yield kube


async def steward_namespace(kube: Kube) -> str:
    """The namespace that is labelled as this extension's; the usual one where none is, or where nobody may look."""
    try:
        listing = await kube.list(NAMESPACES, labels="linkerd.io/extension=steward")
    except Forbidden:
        return NAMESPACE
    names = sorted(text(item, "metadata", "name") for item in listing.items)
    return names[0] if names and NAMESPACE not in names else NAMESPACE


@asynccontextmanager
async def bus(session: Session, nats: str, *, kube: Kube | None = None) -> AsyncIterator[Bus]:
    """The bus; `kube` where an API server is open already, which is asked only where a port-forward is needed."""
    async with way_to_bus(session, nats, kube=kube) as settings:
        connected = await Bus.connect(settings, name="linkerd-steward-cli", clock=session.clock)
        try:
            yield connected
        finally:
            await connected.close()


@asynccontextmanager
async def way_to_bus(
    session: Session, nats: str, *, kube: Kube | None = None, user: str = NATS_USER
) -> AsyncIterator[BusSettings]:
    """The settings to connect with, and the port-forward behind them where nobody names the servers."""
    settings = named_bus(session.environment, nats)
    if settings is not None:
        yield settings
        return
    async with AsyncExitStack() as stack:
        api = await stack.enter_async_context(cluster(session)) if kube is None else kube
        namespace = await steward_namespace(api)
        behind = await pod_behind(api, ServicePort(namespace, NATS_SERVICE, NATS_PORT), "NATS", _NATS_REMEDY)
        secret = await api.find(SECRETS, NATS_SECRET, namespace)
        way = await stack.enter_async_context(port_forward(api, behind))
        try:
            yield _forwarded(session.environment, way.local_port, texts(secret or {}, "data"), user)
        except BusUnreachable as error:
            # The reason is at the far end of the way, which only the way itself knows.
            raise way.problem or error from error


def named_bus(environment: Environment, nats: str) -> BusSettings | None:
    """The bus that the flag or the environment names; None where a port-forward is needed."""
    servers = nats or environment.nats or environment.bus.get(_SERVERS, "")
    if not servers:
        return None
    return BusSettings.from_environment({_PATIENCE: _CONNECT_WITHIN, **environment.bus, _SERVERS: servers})


def _forwarded(environment: Environment, port: int, passwords: Mapping[str, str], user: str) -> BusSettings:
    variables = {_PATIENCE: _CONNECT_WITHIN, **environment.bus, _SERVERS: f"nats://127.0.0.1:{port}"}
    if user in passwords and not any(name in variables for name in _IDENTITIES):
        variables |= {
            "STEWARD_BUS__USER": user,
            "STEWARD_BUS__PASSWORD": _decoded(passwords[user], user),
            "STEWARD_BUS__INBOX_PREFIX": f"_INBOX_{user}",
        }
    return BusSettings.from_environment(variables)


def _decoded(value: str, user: str) -> str:
    """A value of a Secret; it must never appear in a message."""
    try:
        return base64.b64decode(value, validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        raise ConfigurationError(
            f"Secret {NATS_SECRET!r} has no readable password for NATS user {user!r}: make it anew with "
            "linkerd steward install --new-passwords"
        ) from None
