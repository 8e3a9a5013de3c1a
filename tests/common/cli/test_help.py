"""Help: every command says in a sentence what it does, and shows an example that its own parser takes."""

import re
import shlex

import pytest
from typer.main import get_command

from steward.cli.app import app
from steward.cli.exit_codes import MEANINGS, ExitCode
from steward.testing.command import Command

CONTRACT = ("--api-addr", "--context", "--as", "--as-group", "--kubeconfig", "--linkerd-namespace", "-L", "--verbose")


def _commands() -> dict[str, object]:
    """Every command by its whole name."""
    found: dict[str, object] = {}

    def walk(command: object, path: tuple[str, ...]) -> None:
        members = getattr(command, "commands", None)
        if members is None:
            found[" ".join(path)] = command
            return
        for name, member in members.items():
            walk(member, (*path, name))

    walk(get_command(app), ())
    return found


def test_these_are_the_commands() -> None:
    assert sorted(_commands()) == [
        "alerts channel new mail",
        "alerts channel new pagerduty",
        "alerts channel new slack",
        "alerts channel new teams",
        "alerts channel new webhook",
        "alerts channels",
        "alerts check",
        "alerts explain",
        "alerts history",
        "alerts list",
        "alerts pack",
        "alerts policies",
        "alerts policy new",
        "alerts render",
        "alerts route",
        "alerts runbook",
        "alerts silence add",
        "alerts silence expire",
        "alerts silence list",
        "alerts status",
        "alerts test",
        "alerts watch",
        "check",
        "completion",
        "conformance cleanup",
        "conformance explain",
        "conformance history",
        "conformance list",
        "conformance pause",
        "conformance report",
        "conformance resume",
        "conformance run-one",
        "conformance runs",
        "conformance sonobuoy",
        "conformance start",
        "conformance status",
        "conformance stop",
        "conformance watch",
        "dead-letters list",
        "dead-letters replay",
        "dead-letters show",
        "events tail",
        "handlers run",
        "install",
        "plans list",
        "plans show",
        "releases",
        "uninstall",
        "upgrade abort",
        "upgrade list",
        "upgrade pause",
        "upgrade preview",
        "upgrade resume",
        "upgrade start",
        "upgrade status",
        "upgrade watch",
        "version",
    ]


@pytest.mark.parametrize("name", sorted(_commands()))
def test_a_command_has_a_sentence_an_example_and_the_contract_s_flags(name: str) -> None:
    command = _commands()[name]
    help = str(getattr(command, "help", ""))
    assert help.partition("\n")[0].endswith("."), "the first line is a sentence"
    example = re.search(r"Example: (.+)", help)
    assert example is not None
    words = shlex.split(re.split(r" [|>] ", example[1])[0])
    assert words[0] in ("linkerd", "linkerd-steward")
    assert " ".join(words[2 if words[0] == "linkerd" else 1 :]).startswith(name)
    params = getattr(command, "params", [])
    declared = [option for param in params for option in param.opts]
    assert set(CONTRACT) <= set(declared)
    spoken = {word.partition("=")[0] for word in words if word.startswith("-")}
    assert spoken <= set(declared), "the example uses flags that exist"
    helps = [param for param in params if not getattr(param, "help", None)]
    assert not helps, "every flag and argument says what it is for"


@pytest.mark.parametrize("flag", ["-h", "--help"])
async def test_help_goes_to_stdout(cli: Command, flag: str) -> None:
    answer = await cli("upgrade", "start", flag)
    assert (answer.code, answer.err) == (0, "")
    assert "Example: linkerd steward upgrade start edge-26.8.3 --watch" in answer.out
    assert "--linkerd-namespace" in answer.out


async def test_without_a_command_the_help_is_shown(cli: Command) -> None:
    answer = await cli()
    assert answer.code == 2
    assert "dead-letters" in answer.out + answer.err


async def test_exit_codes_are_in_the_help(cli: Command) -> None:
    assert set(MEANINGS) == set(ExitCode)
    answer = await cli("--help")
    said = " ".join(answer.out.split())
    for code, meaning in MEANINGS.items():
        assert f"{int(code)} {meaning}" in said


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
async def test_completion_prints_a_script_for_each_shell(cli: Command, shell: str) -> None:
    answer = await cli("completion", shell)
    assert answer.code == 0
    assert "_LINKERD_STEWARD_COMPLETE" in answer.out


async def test_the_shell_is_offered_commands(cli: Command) -> None:
    answer = await cli(
        _LINKERD_STEWARD_COMPLETE="complete_bash", COMP_WORDS="linkerd-steward upgrade st", COMP_CWORD="2"
    )
    assert answer.out.split() == ["start", "status"]


async def test_version_of_the_command_alone_needs_no_cluster(cli: Command) -> None:
    answer = await cli("version", "--client", "--short")
    assert answer.code == 0
    assert re.fullmatch(r"\d+\.\d+\.\d+\n", answer.out)


async def test_version_without_a_cluster_says_what_it_cannot_tell(cli: Command) -> None:
    answer = await cli("version")
    assert answer.code == 2
    assert "Linkerd version: unavailable" in answer.out
    assert "no cluster is configured" in answer.err
