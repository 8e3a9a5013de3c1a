"""A place on loopback that takes mail, with STARTTLS and a password where wanted.

async with SmtpSink(MailRules(tls=tls, user="steward", password="secret")) as sink:
    ...                       # smtp_smarthost: sink.address
    mail = await sink.until(lambda mail: "ProxyDown" in mail.subject)
"""

import asyncio
import ssl
import warnings
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from types import TracebackType
from typing import Self

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from steward.testing.monitoring.inbox import Inbox
from steward.testing.monitoring.waiting import PATIENCE

_TAKEN = "250 taken"


@dataclass(frozen=True, slots=True)
class Mail:
    """One mail, as it was accepted."""

    subject: str
    sender: str
    """Of the envelope."""
    to: tuple[str, ...]
    """Of the envelope: who gets it, whatever its header says."""
    text: str
    html: str
    headers: dict[str, str] = field(hash=False)
    """By lower-case name."""
    encrypted: bool
    user: str
    """Who sent it, if they had to say so."""

    @property
    def body(self) -> str:
        """The text, else the HTML; Alertmanager writes HTML unless told otherwise."""
        return self.text or self.html


@dataclass(frozen=True, slots=True)
class MailRules:
    """What a sink asks of those who bring mail."""

    tls: ssl.SSLContext | None = None
    """Of a server; mail is taken after STARTTLS only."""
    user: str = ""
    password: str = ""


class SmtpSink:
    """Collects mail. Entering the context starts it on a free port, leaving ends it."""

    def __init__(self, rules: MailRules | None = None) -> None:
        self.port = 0
        self._rules = rules or MailRules()
        self._inbox = Inbox[Mail]()
        self._refusals: deque[str] = deque()
        self._server: asyncio.Server | None = None
        self._sessions: list[_Session] = []

    @property
    def address(self) -> str:
        """Host and port, as in Alertmanager's `smtp_smarthost`."""
        return f"127.0.0.1:{self.port}"

    @property
    def mails(self) -> tuple[Mail, ...]:
        """What was accepted so far, in its order."""
        return self._inbox.messages

    def refuse(self, answer: str = "451 come again later", times: int = 1) -> None:
        """Refuse the next mails in these words; 4xx may be tried again, 5xx not."""
        self._refusals.extend([answer] * times)

    def clear(self) -> None:
        """Forget what was accepted."""
        self._inbox.clear()

    async def until(self, wanted: Callable[[Mail], bool], *, within: timedelta = PATIENCE) -> Mail:
        """The first mail that is wanted. Raises `NothingCame` with what came instead."""
        return await self._inbox.until(wanted, within=within)

    async def __aenter__(self) -> Self:
        self._server = await asyncio.get_running_loop().create_server(self._session, "127.0.0.1", self.port)
        self.port = int(self._server.sockets[0].getsockname()[1])
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is None:
            return
        self._server.close()
        # From Python 3.12 on a closed server waits for those who are still talking to it.
        for session in self._sessions:
            session.hang_up()
        await self._server.wait_closed()

    # Named by aiosmtpd, which asks the handler of each session.
    async def handle_DATA(self, _server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Take one mail or refuse it."""
        if self._refusals:
            return self._refusals.popleft()
        login = session.auth_data
        user = login.login.decode() if isinstance(login, LoginPassword) else ""
        await self._inbox.put(_mail(envelope, encrypted=session.ssl is not None, user=user))
        return _TAKEN

    def _session(self) -> "_Session":
        rules = self._rules
        with warnings.catch_warnings():
            # aiosmtpd warns of passwords without encryption. It is right, and this is the loopback device.
            warnings.simplefilter("ignore", UserWarning)
            session = _Session(
                self,
                hostname="127.0.0.1",
                loop=asyncio.get_running_loop(),
                tls_context=rules.tls,
                require_starttls=rules.tls is not None,
                auth_required=bool(rules.user),
                auth_require_tls=rules.tls is not None,
                authenticator=self._login if rules.user else None,
            )
        self._sessions.append(session)
        return session

    def _login(self, _server: SMTP, _session: Session, _envelope: Envelope, _by: str, login: object) -> AuthResult:
        expected = LoginPassword(self._rules.user.encode(), self._rules.password.encode())
        # What is `handled` was answered by us already; a refusal is left to aiosmtpd.
        return AuthResult(success=login == expected, handled=False, auth_data=login)


class _Session(SMTP):
    # As mail servers ask; Alertmanager takes no other words for it.
    AuthLoginUsernameChallenge = "Username:"
    AuthLoginPasswordChallenge = "Password:"

    def hang_up(self) -> None:
        """End the conversation, if it is not over."""
        if self.transport is not None:
            self.transport.close()


def _mail(envelope: Envelope, *, encrypted: bool, user: str) -> Mail:
    content = envelope.content or b""
    message = message_from_bytes(content if isinstance(content, bytes) else content.encode(), policy=policy.default)
    return Mail(
        subject=str(message["subject"] or ""),
        sender=envelope.mail_from or "",
        to=tuple(envelope.rcpt_tos),
        text=_part(message, "plain"),
        html=_part(message, "html"),
        headers={name.lower(): str(value) for name, value in message.items()},
        encrypted=encrypted,
        user=user,
    )


def _part(message: EmailMessage, kind: str) -> str:
    found = message.get_body((kind,))
    return str(found.get_content()).replace("\r\n", "\n") if found is not None else ""
