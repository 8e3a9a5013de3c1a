"""Linkerd's webhooks behind the real API server, where no real ones answer.

On the throwaway cluster a ClusterIP is an address of the loopback device, so this listens on the very address and port
that the webhook configurations name, with the certificate of the very Secret, for as long as a ready pod of the
component exists. The API server calls it as it would call the controllers.
"""

import asyncio
import errno
import ipaddress
import ssl
import tempfile
import threading
from base64 import b64decode
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import Self

from aiohttp import web

from steward.clock import Clock, SystemClock
from steward.errors import StewardError
from steward.jsonvalue import JsonObject, rows, text, texts
from steward.testing.cluster.admission import PROXY_INJECTOR, Admission, Judgement
from steward.testing.cluster.follow import Followed
from steward.testing.cluster.kubeconfig import Kubeconfig
from steward.testing.cluster.pki import KeyPair
from steward.testing.processes import until

_PORT = 443
_NAMESPACE = "linkerd"
_COMPONENT = "linkerd.io/control-plane-component"
_PATIENCE = timedelta(seconds=120)
_LOOK_AGAIN = timedelta(milliseconds=250)
# Service of each webhook, and the component whose pods would answer it.
_WEBHOOKS = {
    PROXY_INJECTOR: "proxy-injector",
    "linkerd-sp-validator": "destination",
    "linkerd-policy-validator": "destination",
}

Answer = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


class InjectorFailed(StewardError):
    """The webhooks cannot be served, or not as the test expects."""


@dataclass(slots=True)
class _Listener:
    """One webhook's server, and the certificate it shows."""

    address: str
    runner: web.ServerRunner
    context: ssl.SSLContext
    pair: KeyPair

    def show(self, pair: KeyPair) -> None:
        """Show another certificate from the next connection on; open ones go on."""
        _load(self.context, pair)
        self.pair = pair


class Injector:
    """The double of Linkerd's three webhooks, in a thread of its own. Harmless where real ones answer."""

    def __init__(
        self,
        access: Kubeconfig,
        *,
        stand_in: bool = True,
        grace: timedelta = timedelta(0),
        clock: Clock | None = None,
    ) -> None:
        """`grace` is how long a real injector may take to appear before this one stands in for it, if at all."""
        self._stand_in = stand_in
        self._grace = grace
        self._clock = clock or SystemClock()
        self.reload_delay = timedelta(0)
        """How long after a change of its Secret the new certificate is shown, as a kubelet's delay would do."""
        self.judgements: list[Judgement] = []
        """What was asked and answered."""
        self._down = False
        self._instead: KeyPair | None = None
        self._real: set[str] = set()
        self._addresses: dict[str, str] = {}
        self._secrets: dict[str, KeyPair] = {}
        self._pairs: dict[str, KeyPair] = {}
        self._ready: set[str] = set()
        self._listeners: dict[str, _Listener] = {}
        self._state = threading.Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._changed = asyncio.Event()
        self._ending = asyncio.Event()
        self._turn = asyncio.Lock()
        self._failure: BaseException | None = None
        self._api = Followed(access, self._clock)
        self._admission = Admission(self._api)
        self._thread = threading.Thread(target=self._run, name="injector", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        self._wait("its thread", lambda: self._loop is not None)
        return self

    def __exit__(self, _: type[BaseException] | None, __: BaseException | None, ___: TracebackType | None) -> None:
        if self._loop is not None:
            self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(timeout=_PATIENCE.total_seconds())

    def down(self) -> None:
        """Refuse connections, as with no injector running; returns when it does."""
        self._switch(down=True, instead=self._instead)

    def up(self) -> None:
        """Answer again, with the certificate of the Secret as it is now."""
        self._switch(down=False, instead=None)

    def show(self, certificate: str, key: str) -> None:
        """Show this instead of the Secret's certificate: expired, for another name, of another authority."""
        self._switch(down=False, instead=KeyPair(certificate, key))

    def until_settled(self, certificate: str) -> None:
        """Wait until the injector shows `certificate`, that of its Secret, or a real one was found."""
        expected = certificate.strip()

        def shows_it() -> bool:
            listener = self._listeners.get(PROXY_INJECTOR)
            return self.real or (listener is not None and listener.pair.certificate.strip() == expected)

        self._wait("the certificate of its Secret", shows_it)
        address = self._addresses.get(PROXY_INJECTOR, "")
        if self.real and address and ipaddress.ip_address(address).is_loopback:
            until("the real injector's certificate", lambda: _shown(address) == expected, (), within=_PATIENCE)

    @property
    def real(self) -> bool:
        """Whether somebody else answers at the injector's address, so that this one keeps out of the way."""
        return PROXY_INJECTOR in self._real

    def _switch(self, *, down: bool, instead: KeyPair | None) -> None:
        loop = self._loop
        if loop is None:
            raise InjectorFailed("the injector does not run: use it as a context manager")
        asyncio.run_coroutine_threadsafe(self._switched(down=down, instead=instead), loop).result()

    async def _switched(self, *, down: bool, instead: KeyPair | None) -> None:
        async with self._turn:
            self._down, self._instead = down, instead
            self._pairs |= self._secrets
            # Connections that are open would go on with what they were opened with.
            for service in list(self._listeners):
                await self._close(service)
        await self._reconcile()

    def _wait(self, what: str, holds: Callable[[], bool]) -> None:
        with self._state:
            done = self._state.wait_for(lambda: holds() or self._failure is not None, _PATIENCE.total_seconds())
        if self._failure is not None:
            raise InjectorFailed(f"the injector ended: {self._failure}") from self._failure
        if not done:
            known = f"addresses {self._addresses}, secrets {sorted(self._secrets)}, ready {sorted(self._ready)}"
            raise InjectorFailed(f"the injector has not reached {what} within {_PATIENCE}: {known}")

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as failure:  # noqa: BLE001 - it is raised again in the thread that waits
            self._failure = failure
            with self._state:
                self._state.notify_all()

    async def _serve(self) -> None:
        async with self._api as api:
            followers = [
                asyncio.create_task(api.follow(f"/api/v1/namespaces/{_NAMESPACE}/services", self._on_services)),
                asyncio.create_task(api.follow(f"/api/v1/namespaces/{_NAMESPACE}/secrets", self._on_secrets)),
                asyncio.create_task(
                    api.follow(f"/api/v1/namespaces/{_NAMESPACE}/pods", self._on_pods, labels=_COMPONENT)
                ),
                asyncio.create_task(self._reconcile_forever()),
            ]
            self._loop = asyncio.get_running_loop()
            with self._state:
                self._state.notify_all()
            ending = asyncio.create_task(self._ending.wait())
            try:
                done, _ = await asyncio.wait([ending, *followers], return_when=asyncio.FIRST_COMPLETED)
                for task in done:
                    task.result()
            finally:
                for task in (ending, *followers):
                    task.cancel()
                await asyncio.gather(ending, *followers, return_exceptions=True)
                for service in list(self._listeners):
                    await self._close(service)

    def _on_services(self, services: list[JsonObject]) -> None:
        self._addresses = {
            text(service, "metadata", "name"): text(service, "spec", "clusterIP")
            for service in services
            if text(service, "metadata", "name") in _WEBHOOKS
        }
        self._changed.set()

    def _on_secrets(self, secrets: list[JsonObject]) -> None:
        found: dict[str, KeyPair] = {}
        for secret in secrets:
            service = text(secret, "metadata", "name").removesuffix("-k8s-tls")
            data = texts(secret, "data")
            if service in _WEBHOOKS and data.keys() >= {"tls.crt", "tls.key"}:
                found[service] = KeyPair(b64decode(data["tls.crt"]).decode(), b64decode(data["tls.key"]).decode())
        for service, pair in found.items():
            if self._secrets.get(service) != pair:
                # Pods that start with a Secret mount it at once; only a change has to wait for the kubelet.
                delay = self.reload_delay if service in self._pairs else timedelta(0)
                asyncio.get_running_loop().call_later(delay.total_seconds(), self._mount, service, pair)
        self._secrets = found
        self._changed.set()

    def _mount(self, service: str, pair: KeyPair) -> None:
        # A later change of the Secret has its own delay.
        if self._secrets.get(service) == pair:
            self._pairs[service] = pair
            self._changed.set()

    def _on_pods(self, pods: list[JsonObject]) -> None:
        self._ready = {texts(pod, "metadata", "labels").get(_COMPONENT, "") for pod in pods if _ready(pod)}
        self._changed.set()

    async def _reconcile_forever(self) -> None:
        while True:
            await self._changed.wait()
            self._changed.clear()
            await self._reconcile()

    async def _reconcile(self) -> None:
        async with self._turn:
            for service in _WEBHOOKS:
                await self._reconcile_one(service)
        with self._state:
            self._state.notify_all()

    async def _reconcile_one(self, service: str) -> None:
        wanted = self._wanted(service)
        listener = self._listeners.get(service)
        if listener is not None and (wanted is None or listener.address != wanted[0]):
            await self._close(service)
        if wanted is None:
            return
        address, pair = wanted
        listener = self._listeners.get(service)
        if listener is None:
            await self._listen(service, address, pair)
        elif listener.pair != pair:
            listener.show(pair)

    def _wanted(self, service: str) -> tuple[str, KeyPair] | None:
        """Where to listen and what to show, or None while nothing would answer on a real cluster either."""
        address, pair = self._addresses.get(service), self._instead or self._pairs.get(service)
        if self._down or not address or pair is None or _WEBHOOKS[service] not in self._ready:
            return None
        return address, pair

    async def _listen(self, service: str, address: str, pair: KeyPair) -> None:
        if not self._stand_in or await self._answered_by_another(address):
            self._real.add(service)
            return
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        _load(context, pair)
        runner = web.ServerRunner(web.Server(self._answer_for(service)), shutdown_timeout=0)
        await runner.setup()
        try:
            await web.TCPSite(runner, address, _PORT, ssl_context=context).start()
        except OSError as refused:
            await runner.cleanup()
            if refused.errno == errno.EADDRINUSE:
                self._real.add(service)
                return
            raise InjectorFailed(
                f"cannot listen on {address}:{_PORT} for Service {service!r} ({refused.strerror}): run as root, "
                f"or set the sysctl net.ipv4.ip_unprivileged_port_start to {_PORT} or less"
            ) from refused
        self._real.discard(service)
        self._listeners[service] = _Listener(address, runner, context, pair)

    async def _answered_by_another(self, address: str) -> bool:
        """Whether the webhook has, or must have, somebody else to answer it."""
        if not ipaddress.ip_address(address).is_loopback:
            # Only pods of the cluster can be reached there.
            return True
        deadline = self._clock.monotonic() + self._grace.total_seconds()
        while not await _answers(address):
            if self._clock.monotonic() >= deadline:
                # One wait is enough: whoever has not come by now does not come for the next webhook either.
                self._grace = timedelta(0)
                return False
            await self._clock.sleep(_LOOK_AGAIN)
        return True

    async def _close(self, service: str) -> None:
        listener = self._listeners.pop(service, None)
        if listener is None:
            return
        runner = listener.runner
        # Nobody says goodbye over TLS to an API server that may be dead: the sockets would outlive the loop.
        for connection in list(runner.server.connections) if runner.server is not None else ():
            if connection.transport is not None:
                connection.transport.abort()
        await runner.cleanup()
        await asyncio.sleep(0)

    def _answer_for(self, service: str) -> Answer:
        async def answer(request: web.BaseRequest) -> web.StreamResponse:
            review: JsonObject = await request.json()
            judgement = await self._admission.judge(service, review)
            self.judgements.append(judgement)
            return web.json_response(judgement.answer)

        return answer


async def _answers(address: str) -> bool:
    """Whether somebody listens at the webhook's address."""
    try:
        _, writer = await asyncio.open_connection(address, _PORT)
    except OSError:
        return False
    writer.close()
    return True


def _shown(address: str) -> str:
    """The certificate that is shown at the webhook's address; empty where nobody answers."""
    try:
        return ssl.get_server_certificate((address, _PORT), timeout=2).strip()
    except OSError:
        return ""


def _load(context: ssl.SSLContext, pair: KeyPair) -> None:
    # The ssl module loads key pairs from files only.
    with tempfile.TemporaryDirectory() as directory:
        certificate, key = pair.write(Path(directory), "webhook")
        context.load_cert_chain(certificate, key)


def _ready(pod: JsonObject) -> bool:
    conditions = rows(pod, "status", "conditions")
    return any(text(one, "type") == "Ready" and text(one, "status") == "True" for one in conditions)
