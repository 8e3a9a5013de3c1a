"""The sink of mail is a mail server to a client: it takes, refuses, encrypts and asks for passwords."""

import asyncio
import smtplib
import ssl
from datetime import timedelta
from email.message import EmailMessage
from pathlib import Path

import pytest

from steward.clock import SystemClock
from steward.testing.cluster.pki import Authority, Validity
from steward.testing.monitoring.inbox import NothingCame
from steward.testing.monitoring.mail import MailRules, SmtpSink

_TO = ("on-call@example.org", "mesh@example.org")


def _message(subject: str = "ProxyDown: 3 fîring") -> EmailMessage:
    message = EmailMessage()
    message["Subject"] = subject
    message["From"] = "steward@example.org"
    message["To"] = _TO[0]
    message["X-Mesh"] = "m1"
    message.set_content("three proxies are down\n")
    message.add_alternative("<p>three proxies are <b>down</b></p>\n", subtype="html")
    return message


def _deliver(sink: SmtpSink, trust: str = "", user: str = "", password: str = "") -> None:
    with smtplib.SMTP("127.0.0.1", sink.port, timeout=30) as client:
        if trust:
            client.starttls(context=ssl.create_default_context(cadata=trust))
        if user:
            client.login(user, password)
        client.send_message(_message(), to_addrs=_TO)


async def test_a_mail_is_taken_apart(smtp_sink: SmtpSink) -> None:
    await asyncio.to_thread(_deliver, smtp_sink)

    mail = await smtp_sink.until(lambda mail: "ProxyDown" in mail.subject)
    assert (mail.subject, mail.sender, mail.to) == ("ProxyDown: 3 fîring", "steward@example.org", _TO)
    assert mail.text == "three proxies are down\n"
    assert mail.html == "<p>three proxies are <b>down</b></p>\n"
    assert mail.body == mail.text
    assert mail.headers["x-mesh"] == "m1"
    assert not mail.encrypted
    assert mail.user == ""


async def test_mails_are_refused_as_often_as_wanted(smtp_sink: SmtpSink) -> None:
    smtp_sink.refuse("554 no mail from you")

    with pytest.raises(smtplib.SMTPDataError, match="no mail from you"):
        await asyncio.to_thread(_deliver, smtp_sink)
    assert smtp_sink.mails == ()
    await asyncio.to_thread(_deliver, smtp_sink)
    assert len(smtp_sink.mails) == 1


async def test_a_password_is_asked_for_and_compared() -> None:
    async with SmtpSink(MailRules(user="steward", password="right")) as sink:
        with pytest.raises(smtplib.SMTPSenderRefused, match="Authentication required"):
            await asyncio.to_thread(_deliver, sink)
        with pytest.raises(smtplib.SMTPAuthenticationError):
            await asyncio.to_thread(_deliver, sink, user="steward", password="wrong")
        await asyncio.to_thread(_deliver, sink, user="steward", password="right")

        assert [mail.user for mail in sink.mails] == ["steward"]


async def test_with_a_certificate_mail_is_taken_only_encrypted(tmp_path: Path) -> None:
    validity = Validity.around(SystemClock().now())
    authority = Authority.create("mail", validity)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(*authority.server("127.0.0.1", validity).write(tmp_path, "mail"))

    async with SmtpSink(MailRules(tls=tls)) as sink:
        with pytest.raises(smtplib.SMTPSenderRefused, match="Must issue a STARTTLS command first"):
            await asyncio.to_thread(_deliver, sink)
        await asyncio.to_thread(_deliver, sink, authority.pair.certificate)

        assert [mail.encrypted for mail in sink.mails] == [True]


async def test_waiting_for_a_mail_that_does_not_come_lists_what_came(smtp_sink: SmtpSink) -> None:
    await asyncio.to_thread(_deliver, smtp_sink)

    with pytest.raises(NothingCame, match=r"what came:\n- Mail\(subject='ProxyDown"):
        await smtp_sink.until(lambda mail: "Resolved" in mail.subject, within=timedelta(milliseconds=50))


async def test_a_sink_is_left_while_a_client_still_talks_and_its_port_can_be_taken_again() -> None:
    sink = SmtpSink()
    async with sink:
        reader, writer = await asyncio.open_connection("127.0.0.1", sink.port)
        assert (await reader.readline()).startswith(b"220 ")
    assert await reader.read() == b""
    writer.close()
    address = sink.address

    async with sink:
        await asyncio.to_thread(_deliver, sink)
        assert (sink.address, len(sink.mails)) == (address, 1)
