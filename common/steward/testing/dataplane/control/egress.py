"""EgressNetworks: what proxies are told about addresses outside of the cluster."""

from ipaddress import ip_address, ip_network

from steward.jsonvalue import JsonObject, rows, strings, text
from steward.testing.dataplane.control import faults as broken
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.kinds import EGRESS_NETWORKS
from steward.testing.dataplane.control.world import World, by_age
from steward.testing.dataplane.faults import Faults


def egress_network(world: World, faults: Faults, ip: str, client: Client) -> JsonObject | None:
    """The EgressNetwork that an address belongs to, for a client: any of its own namespace hides the global ones."""
    if faults.on(broken.EGRESS_IGNORED, client):
        return None
    own = world.all(EGRESS_NETWORKS, client.namespace) if client.namespace else []
    found = by_age(own or world.all(EGRESS_NETWORKS, world.values.global_egress))
    fitting = [(size, one) for one in found if (size := _fits(world, one, ip)) is not None]
    # The narrowest network wins, then the oldest object.
    return max(fitting, key=lambda pair: pair[0])[1] if fitting else None


def is_outside(world: World, ip: str) -> bool:
    """Whether the address is in none of the cluster's networks."""
    return not any(_within(ip, cidr) for cidr in world.values.cluster_networks)


def denies(network: JsonObject) -> bool:
    """Whether it lets nothing out that no route allows."""
    return text(network, "spec", "trafficPolicy") == "Deny"


def _fits(world: World, network: JsonObject, ip: str) -> int | None:
    """The length of the prefix by which the address belongs to it."""
    declared = rows(network, "spec", "networks")
    if not declared:
        return 0 if is_outside(world, ip) else None
    sizes = [
        ip_network(text(one, "cidr"), strict=False).prefixlen
        for one in declared
        if _within(ip, text(one, "cidr")) and not any(_within(ip, hole) for hole in strings(one, "except"))
    ]
    return max(sizes, default=None)


def _within(ip: str, cidr: str) -> bool:
    address, network = ip_address(ip), ip_network(cidr, strict=False)
    return address.version == network.version and address in network
