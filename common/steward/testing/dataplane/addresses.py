"""Loopback addresses of one simulated data plane: a range of its own, also beside other processes."""

import socket
from itertools import cycle
from random import Random

_POD, _INSIDE, _SERVICE, _OUTSIDE, _PROXY, _LOCK = 20, 21, 22, 23, 25, 26
_LOCK_PORT = 4190
_HOSTS = range(2, 254)


class Addresses:
    """Hands out addresses 127.<kind>.<range>.<host>; the range is locked by a listening socket until `close`."""

    def __init__(self) -> None:
        self._lock, self._range = _claimed()
        self._taken: set[str] = set()
        self._hosts = cycle(_HOSTS)

    def close(self) -> None:
        """Let others have the range."""
        self._lock.close()

    def pod(self) -> str:
        """An address for a pod."""
        return self._next(_POD)

    def service(self) -> str:
        """A ClusterIP."""
        return self._next(_SERVICE)

    def outside(self) -> str:
        """An address that stands for one outside of the cluster."""
        return self._next(_OUTSIDE)

    def release(self, address: str) -> None:
        """It may be handed out again, after all others."""
        self._taken.discard(address)

    @staticmethod
    def inside(pod: str) -> str:
        """Where the application of a pod listens, out of everybody else's sight."""
        return _moved(pod, _INSIDE)

    @staticmethod
    def proxy(pod: str) -> str:
        """Where the proxy of a pod connects from, so that its connections are told from the application's."""
        return _moved(pod, _PROXY)

    @staticmethod
    def caller(address: str) -> tuple[str, bool]:
        """The pod that connects from an address, and whether it is its proxy that does."""
        if address.startswith(f"127.{_PROXY}."):
            return _moved(address, _POD), True
        return address, False

    def _next(self, kind: int) -> str:
        for _ in _HOSTS:
            address = f"127.{kind}.{self._range}.{next(self._hosts)}"
            if address not in self._taken:
                self._taken.add(address)
                return address
        raise RuntimeError(f"all {len(_HOSTS)} addresses of 127.{kind}.{self._range}.0/24 are in use: use fewer pods")


def _moved(address: str, kind: int) -> str:
    _, _, rest = address.split(".", 2)
    return f"127.{kind}.{rest}"


def _claimed() -> tuple[socket.socket, int]:
    numbers = list(range(256))
    Random().shuffle(numbers)
    for number in numbers:
        lock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            lock.bind((f"127.{_LOCK}.{number}.1", _LOCK_PORT))
            lock.listen(1)
        except OSError:
            lock.close()
            continue
        return lock, number
    raise RuntimeError("256 simulated data planes run on this machine already: end some of them")
