"""The cluster's DNS: names of Services and of single pods, as a pod's resolver finds them."""

from collections.abc import Iterator
from ipaddress import ip_address

from steward.jsonvalue import JsonObject, flag, rows, strings, text
from steward.kube.resources import ENDPOINT_SLICES, SERVICES
from steward.testing.dataplane import network_faults as broken
from steward.testing.dataplane.control import faults as control
from steward.testing.dataplane.control.discovery import Client
from steward.testing.dataplane.control.slices import SERVICE_NAME
from steward.testing.dataplane.control.world import World, labels_of
from steward.testing.dataplane.faults import Faults

_DEEPEST = 4
_ANYBODY = "192.0.2.53"
"""Reserved for documentation: whoever is sent there finds nobody."""


class Names:
    """Resolves for a pod in some namespace."""

    def __init__(self, world: World, faults: Faults) -> None:
        self._world = world
        self._faults = faults

    def resolve(self, name: str, namespace: str, pod: str = "") -> tuple[str, ...]:
        """The addresses of a name; none where it does not exist, or where DNS fails."""
        if _is_address(name):
            return (name,)
        place = Client(pod=pod, namespace=namespace)
        if self._faults.on(broken.DNS_FAILING, place):
            return ()
        found = tuple(dict.fromkeys(self._found(name.rstrip("."), namespace, place, _DEEPEST)))
        return found or ((_ANYBODY,) if self._faults.on(broken.DNS_WILDCARD, place) else ())

    def _found(self, name: str, namespace: str, place: Client, deep: int) -> Iterator[str]:
        named = self._service(name, namespace)
        if named is None:
            return
        service, hostname = named
        if text(service, "spec", "type") == "ExternalName":
            target = text(service, "spec", "externalName")
            if _is_address(target):
                yield target
            elif deep:
                yield from self._found(target.rstrip("."), namespace, place, deep - 1)
            return
        if text(service, "spec", "clusterIP") != "None":
            if not hostname:
                yield text(service, "spec", "clusterIP")
            return
        if hostname and self._faults.on(broken.DNS_FORGETS_PODS, place):
            return
        yield from self._endpoints(service, hostname, place)

    def _service(self, name: str, namespace: str) -> tuple[JsonObject, str] | None:
        """The Service that a name is about, and the pod's name in front of it."""
        domain = self._world.values.cluster_domain
        words = name.removesuffix(f".{domain}").removesuffix(".svc").split(".")
        qualified = name.endswith((f".svc.{domain}", ".svc"))
        for service, home, hostname in _readings(words, namespace, qualified=qualified):
            found = self._world.find(SERVICES, service, home)
            if found is not None:
                return found, hostname
        return None

    def _endpoints(self, service: JsonObject, hostname: str, place: Client) -> Iterator[str]:
        everybody = self._faults.on(control.HEADLESS_ANSWERS_ALL, place)
        unready = flag(service, "spec", "publishNotReadyAddresses")
        for slice_ in self._world.all(ENDPOINT_SLICES, text(service, "metadata", "namespace")):
            if labels_of(slice_).get(SERVICE_NAME) != text(service, "metadata", "name"):
                continue
            for one in rows(slice_, "endpoints"):
                mine = not hostname or everybody or text(one, "hostname") == hostname
                if mine and (unready or flag(one, "conditions", "ready")):
                    yield from strings(one, "addresses")


def _readings(words: list[str], namespace: str, *, qualified: bool) -> Iterator[tuple[str, str, str]]:
    """Service, namespace and pod that the words may mean, in the order in which a resolver tries them."""
    if len(words) == 1 and not qualified:
        yield words[0], namespace, ""
    if len(words) == 2:
        yield words[0], words[1], ""
        if not qualified:
            yield words[1], namespace, words[0]
    if len(words) == 3:
        yield words[1], words[2], words[0]


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
