"""What the README says of alerting is so: a mail a few minutes after nothing, by the commands that it shows."""

import shlex
from datetime import timedelta
from pathlib import Path

import pytest

from steward.linkerd.version import Version
from steward.testing.command import Command
from steward.testing.linkerd_pages.faults import Fault
from steward.testing.monitoring.mail import MailRules, SmtpSink
from steward.testing.monitoring.tools import MonitoringTools
from tests.deploy.kustomize import REPOSITORY
from tests.documentation.blocks import blocks, commands
from tests.services.alerting.meshed import meshed_world

SECTION = "Be told"


def said(*beginning: str) -> list[list[str]]:
    """The commands of the section that begin so."""
    shown = [
        shlex.split(command)
        for block in blocks(REPOSITORY / "README.md", "bash")
        if block.heading == SECTION
        for command in commands(block)
    ]
    return [words for words in shown if words[: len(beginning)] == list(beginning)]


@pytest.mark.monitoring
async def test_the_commands_of_the_readme_bring_a_mail_when_web_fails(
    monitoring_tools: MonitoringTools, tmp_path: Path
) -> None:
    rules = MailRules(user="mesh", password="s3cret")
    async with (
        SmtpSink(rules) as mail,
        meshed_world(monitoring_tools, tmp_path / "world", Version.parse("edge-26.8.3"), calls="web.shop") as meshed,
        meshed.around.running(),
    ):
        around = meshed.around
        around.service("web")
        around.secret("mail", {"password": "s3cret"}, "shop")
        await around.scraped(times=3)
        steward = Command(tmp_path, {"KUBECONFIG": str(around.kubernetes.kubeconfig())})
        for words in said("linkerd-steward", "alerts", "channel") + said("linkerd-steward", "alerts", "policy"):
            here = [mail.address if word == "smtp.acme.org:587" else word for word in words[1:]]
            # The mail server of the test speaks no TLS.
            answer = await steward(*here, *(["--without-tls"] if "mail" in words else []))
            assert answer.code == 0, answer
        meshed.pages.break_it(Fault.SERVICE_FAILS)
        # A channel gathers what belongs together for half a minute before it tells.
        told = await mail.until(lambda found: "LinkerdErrorBudgetBurn" in found.subject, within=timedelta(minutes=4))
        assert told.to == ("me@acme.org",)
        assert "web" in told.body
