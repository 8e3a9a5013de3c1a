"""What routes refer to: Services with their endpoints, EgressNetworks, or nothing that exists."""

from dataclasses import replace

from steward.jsonvalue import JsonObject, text, whole
from steward.testing.dataplane.config import Backend, Endpoint, Meta
from steward.testing.dataplane.control.discovery import Asked, Client, Directory
from steward.testing.dataplane.control.kinds import EGRESS_NETWORKS
from steward.testing.dataplane.control.matches import header_change
from steward.testing.dataplane.control.world import meta_of, name_of, namespace_of

FAILED = Meta("", "default", "fail")
FORWARDED = Meta("", "default", "unknown")
"""What metrics call a backend that is an address and no object."""


class Backends:
    """Makes backends for one client at a time. `ip` is the address outside that an EgressNetwork forwards to."""

    def __init__(self, directory: Directory, *, ip: str = "", port: int = 0) -> None:
        self.directory = directory
        self._outside = (ip, port)

    def of_service(self, service: JsonObject, port: int, client: Client, *, weight: int = 1) -> Backend:
        """A balanced backend."""
        asked = Asked(name_of(service), namespace_of(service), port)
        return Backend(
            meta=meta_of(service, port=port),
            endpoints=self.directory.endpoints(asked, client),
            weight=weight,
            authority=f"{self.directory.world.service_name(service)}:{port}",
        )

    def of_network(self, *, weight: int = 1) -> Backend:
        """Forwards to the address that was dialled."""
        ip, port = self._outside
        return Backend(FORWARDED, (Endpoint(ip, port),) if ip else (), weight)

    def referred(self, reference: JsonObject, namespace: str, client: Client, parent: JsonObject) -> Backend:
        """What a `backendRef` of a route means."""
        weight = whole(reference, "weight", default=1)
        name, port = text(reference, "name"), whole(reference, "port")
        if text(reference, "kind", default="Service") == EGRESS_NETWORKS.kind:
            network = self.directory.world.find(EGRESS_NETWORKS, name, namespace)
            if network is None or network is not parent:
                return Backend(FAILED, weight=weight, missing=f"EgressNetwork not found {name}")
            return self.of_network(weight=weight)
        service = self.directory.service(name, namespace)
        if service is None:
            return Backend(FAILED, weight=weight, missing=f"Service not found {name}")
        made = self.of_service(service, port, client, weight=weight)
        return replace(made, requests=header_change(reference, "RequestHeaderModifier"))

    @staticmethod
    def evened(backend: Backend) -> Backend:
        """As if no weight had been given."""
        return replace(backend, weight=1)
