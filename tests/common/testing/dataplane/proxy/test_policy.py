"""Who may do what, from values alone."""

import pytest

from steward.testing.dataplane.config import (
    Authorization,
    InboundRoute,
    InboundServer,
    Match,
    Meta,
    Network,
    Protocol,
)
from steward.testing.dataplane.proxy.policy import Peer, authorize, is_http, routes_of

SERVER = Meta("policy.linkerd.io", "server", "echo", port=8080)
ANN = "ann.shop.serviceaccount.identity.linkerd.cluster.local"
MESHED = Peer("127.1.0.1", ANN, meshed=True)
PLAIN = Peer("127.1.0.2")


def policy(name: str, **what: object) -> Authorization:
    """An AuthorizationPolicy of that name."""
    return Authorization(Meta("policy.linkerd.io", "authorizationpolicy", name), **what)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("identities", "meshed", "plain"),
    [
        pytest.param(None, True, True, id="nobody is asked for an identity"),
        pytest.param(("*",), True, False, id="any identity"),
        pytest.param((ANN,), True, False, id="this identity"),
        pytest.param(("*.serviceaccount.identity.linkerd.cluster.local",), True, False, id="a suffix"),
        pytest.param(("*.shop.serviceaccount.identity.linkerd.cluster.local",), True, False, id="a namespace"),
        pytest.param(("*.lab.serviceaccount.identity.linkerd.cluster.local",), False, False, id="another namespace"),
        pytest.param(("bob" + ANN[3:],), False, False, id="another identity"),
        pytest.param((), False, False, id="no identity at all"),
    ],
)
def test_identities_decide(identities: tuple[str, ...] | None, meshed: bool, plain: bool) -> None:
    server = InboundServer(SERVER, authorizations=(policy("only", identities=identities),))

    assert authorize(server, None, MESHED).allowed is meshed
    assert authorize(server, None, PLAIN).allowed is plain


def test_networks_and_identities_must_both_fit() -> None:
    networks = (Network("127.1.0.0/16", ("127.1.0.0/31",)),)
    server = InboundServer(SERVER, authorizations=(policy("near", networks=networks, identities=("*",)),))

    assert not authorize(server, None, MESHED).allowed
    assert authorize(server, None, Peer("127.1.0.7", ANN, meshed=True)).allowed
    assert not authorize(server, None, Peer("127.2.0.7", ANN, meshed=True)).allowed


def test_without_an_authorization_everybody_is_denied() -> None:
    assert not authorize(InboundServer(SERVER), None, MESHED).allowed


def test_audit_lets_pass_what_nothing_authorizes_and_says_so() -> None:
    server = InboundServer(SERVER, authorizations=(policy("only", identities=(ANN,)),), audit=True)

    authorized, unauthorized = authorize(server, None, MESHED), authorize(server, None, PLAIN)

    assert (authorized.audited, unauthorized.audited) == (False, True)
    assert unauthorized.authorization == Meta("", "default", "audit")


def test_a_route_has_policies_of_its_own_before_those_of_the_server() -> None:
    route = InboundRoute(Meta("gateway.networking.k8s.io", "HTTPRoute", "pay"), (), (policy("of-route"),))
    other = InboundRoute(Meta("gateway.networking.k8s.io", "HTTPRoute", "look"), ())
    server = InboundServer(SERVER, routes=(route, other), authorizations=(policy("of-server", identities=(ANN,)),))

    by_route, by_server = authorize(server, route, MESHED).authorization, authorize(server, other, MESHED).authorization

    assert by_route is not None
    assert by_route.name == "of-route"
    assert by_server is not None
    assert by_server.name == "of-server"
    assert not authorize(server, other, PLAIN).allowed


def test_a_server_without_routes_has_the_default_route_for_everything() -> None:
    (route,) = routes_of(InboundServer(SERVER))

    assert route.meta.name == "default"
    assert route.matches == (Match(path_prefix="/"),)


def test_opaque_ports_are_not_looked_into() -> None:
    assert not is_http(InboundServer(SERVER, Protocol.OPAQUE))
    assert is_http(InboundServer(SERVER, Protocol.DETECT))
