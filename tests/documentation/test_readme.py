"""What the pages for people say is so: commands exist, files are there, and the code blocks run."""

import asyncio
import re
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from services.together import MEMBERS
from steward.bus.client import Bus
from steward.bus.settings import BusSettings
from steward.clock import SystemClock
from steward.events.upgrades import UpgradeFinished, WorkloadCounts
from steward.subscriber import Subscriber
from steward.testing.command import Command
from steward.testing.events import build, enveloped
from steward.testing.nats import NatsServer
from tests.deploy.kustomize import DEPLOY, REPOSITORY, kubectl, objects
from tests.documentation.blocks import Block, blocks, commands

PAGES = (REPOSITORY / "README.md", REPOSITORY / "common/README.md", DEPLOY / "README.md")
SHELL = [block for page in PAGES for language in ("bash", "sh") for block in blocks(page, language)]
_LINK = re.compile(r"\]\(([^)#:]+)\)")


def _said(program: str) -> list[list[str]]:
    """How the pages call a program, each way once."""
    found = [shlex.split(command) for block in SHELL for command in commands(block)]
    return [list(each) for each in dict.fromkeys(tuple(words[1:]) for words in found if words[:1] == [program])]


@pytest.mark.parametrize("block", SHELL, ids=str)
def test_a_shell_block_is_sound(block: Block) -> None:
    done = subprocess.run(["bash", "-n"], input=block.text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_every_link_leads_somewhere(page: Path) -> None:
    links = _LINK.findall(page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_every_make_target_exists_and_every_target_is_said_by_make_help() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"(?m)^([a-z-]+):", makefile))
    pages = "\n".join(page.read_text(encoding="utf-8") for page in PAGES)
    assert set(re.findall(r"`make ([a-z-]+)", pages)) | {words[0] for words in _said("make")} <= targets
    phony = {name for line in re.findall(r"(?m)^\.PHONY: (.+)$", makefile) for name in line.split()}
    assert phony == targets


@pytest.mark.parametrize("words", _said("linkerd-steward"), ids=" ".join)
async def test_a_command_and_its_flags_exist(words: list[str], tmp_path: Path) -> None:
    # Flags are read before help is given, so one that does not exist ends in a refusal.
    answer = await Command(tmp_path)(*words, "--help")
    assert answer.code == 0, answer.err


def test_what_kubectl_and_docker_are_given_is_there() -> None:
    for words in _said("kubectl"):
        if "-k" in words:
            assert (REPOSITORY / words[words.index("-k") + 1] / "kustomization.yaml").is_file(), words
    (build,) = [words for words in _said("docker") if words[0] == "build"]
    assert (REPOSITORY / build[build.index("--file") + 1]).is_file()


def test_variables_that_are_shown_are_read_as_they_are_written(monkeypatch: pytest.MonkeyPatch) -> None:
    shown = [word.removeprefix("--from-literal=") for words in _said("kubectl") for word in words if "STEWARD_" in word]
    assert len(shown) > 5
    for each in shown:
        name, _, value = each.partition("=")
        monkeypatch.setenv(name, value)
    loaded = [member.settings.load() for member in MEMBERS]
    assert {settings.bus.cluster for settings in loaded} == {"prod-eu-1"}


@pytest.mark.parametrize("block", [block for page in PAGES for block in blocks(page, "yaml")], ids=str)
def test_a_yaml_block_can_be_read(block: Block) -> None:
    assert yaml.safe_load(block.text)


_KUSTOMIZATIONS = [block for block in blocks(DEPLOY / "README.md", "yaml") if "kind: Kustomization" in block.text]


@pytest.mark.parametrize("block", _KUSTOMIZATIONS, ids=str)
def test_an_overlay_that_is_shown_renders(block: Block, tmp_path: Path, renderer: None) -> None:
    del renderer
    for part in ("base", "components", "crds", "dashboards", "overlays"):
        (tmp_path / part).symlink_to(DEPLOY / part)
    own = tmp_path / "overlays"
    own.unlink()
    own.mkdir()
    for overlay in ("development", "production"):
        (own / overlay).mkdir()
        (own / overlay / "kustomization.yaml").write_bytes(
            (DEPLOY / "overlays" / overlay / "kustomization.yaml").read_bytes()
        )
    (own / "own").mkdir()
    (own / "own/kustomization.yaml").write_text(block.text)
    done = subprocess.run([str(kubectl()), "kustomize", str(own / "own")], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert objects(done.stdout)


async def test_the_handler_of_the_readme_says_what_happened(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = blocks(REPOSITORY / "README.md", "python")
    names: dict[str, object] = {}
    exec(compile(block.text, "journal.py", "exec"), names)
    subscriber = names["subscriber"]
    assert isinstance(subscriber, Subscriber)
    event = build(UpgradeFinished, run="to-edge-26-8-3", workloads=WorkloadCounts(verified=5))
    async with NatsServer() as server:
        settings = BusSettings(servers=(server.url,))
        bus = await Bus.connect(settings, name="test", clock=SystemClock())
        await bus.reconcile()
        # Before it begins: a subscriber that was never there hears what happens from then on.
        await bus.reconcile((), (subscriber.consumer,))
        await bus.publish(enveloped(event, id="1"))
        running = asyncio.create_task(subscriber.run(settings))
        said = ""
        async with asyncio.timeout(20):
            while "\n" not in said:
                await asyncio.to_thread(_nothing)
                said += capsys.readouterr().out
        running.cancel()
        await asyncio.wait([running])
        await bus.close()
    assert said == f"to-edge-26-8-3: {event.outcome}, 5 workloads proven\n"


def _nothing() -> None:
    """Let the loop go round."""
