"""The certificate of one proxy: got before anything else, renewed in time, and lost for ever once it has expired."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from steward.testing.dataplane.config import ProxySettings
from steward.testing.dataplane.control.faults import EXPIRED_LEAVES, NO_RENEWAL
from steward.testing.dataplane.control.identity import RENEWED_AT, IdentityController, NoIdentity
from steward.testing.dataplane.proxy.tls import Identity
from steward.testing.linkerd.certificates import Validity

_LONG_AGO = timedelta(minutes=-1)
_LONGEST_WAIT = timedelta(seconds=1)


class Leaf:
    """`current` is what the proxy shows; `run` is its life."""

    def __init__(
        self,
        controller: IdentityController,
        settings: ProxySettings,
        *,
        answered: Callable[[], None] = lambda: None,
        failed: Callable[[], None] = lambda: None,
        unconditional: bool = False,
    ) -> None:
        self._controller = controller
        self._settings = settings
        self._answered = answered
        self._failed = failed
        self._unconditional = unconditional
        self.issued = asyncio.Event()
        """Set when there is a first one."""
        self.refused = False
        """Whether the last attempt failed."""
        self._own: Identity | None = None
        self._expired: Identity | None = None

    @property
    def current(self) -> Identity | None:
        """None before the first one."""
        if self._own is None or not self._controller.faults.on(EXPIRED_LEAVES, self._settings):
            return self._own
        if self._expired is None:
            past = Validity.around(self._controller.clock.now(), _LONG_AGO)
            self._expired = self._controller.issue(self._settings, validity=past)
        return self._expired

    def get(self) -> bool:
        """Ask for a new leaf; whether there was one."""
        try:
            around = Validity.around(self._controller.clock.now(), self._controller.lifetime)
            self._own = self._controller.issue(self._settings, validity=around if self._unconditional else None)
        except NoIdentity:
            self.refused = True
            self._failed()
            return False
        self.refused = False
        self._answered()
        self.issued.set()
        return True

    async def run(self) -> None:
        """Renew at 70 % of each leaf's life. A proxy whose leaf has expired is refused by identity, and stays so."""
        clock, patience = self._controller.clock, self._controller.lifetime * 0.02
        while True:
            own = self._own
            if own is None:
                pause = timedelta(0) if self.get() else min(_LONGEST_WAIT, patience)
            elif clock.now() >= own.not_after:
                self._failed()
                pause = self._controller.lifetime
            else:
                pause = own.not_after - self._controller.lifetime * (1 - RENEWED_AT) - clock.now()
                if pause <= timedelta(0):
                    stopped = self._controller.faults.on(NO_RENEWAL, self._settings)
                    pause = timedelta(0) if not stopped and self.get() else min(_LONGEST_WAIT, patience)
            await clock.sleep(pause)
