"""Entry point: `python -m steward.testing.linkerd.cli VERSION COMMAND…`."""

import sys
from collections.abc import Callable, Sequence

from steward.clock import Clock, SystemClock
from steward.testing.linkerd.cli import checking, extensions, installing, meshing, removing, showing
from steward.testing.linkerd.cli.api import ApiRefused
from steward.testing.linkerd.cli.checking import Executable
from steward.testing.linkerd.cli.flags import GLOBAL, Command, Parsed, UsageError, parse
from steward.testing.linkerd.cli.stored import Refused
from steward.testing.linkerd.release import Release

Run = Callable[[Executable, Parsed, Clock], int]
COMMANDS: dict[str, tuple[Command, Run]] = {
    command.name: (command, run)
    for command, run in (
        (checking.CHECK, checking.check),
        (showing.VERSION, showing.version),
        (installing.INSTALL, installing.install),
        (installing.UPGRADE, installing.upgrade),
        (removing.PRUNE, removing.prune),
        (removing.UNINSTALL, removing.uninstall),
        (meshing.INJECT_COMMAND, meshing.inject),
    )
}
_HELP = "\n".join(
    [
        "linkerd manages the Linkerd service mesh (stand-in for tests).",
        "",
        "Usage:",
        "  linkerd [command]",
        "",
        "Available Commands:",
        *(f"  {name}" for name in sorted(COMMANDS)),
        "",
    ]
)


def main(executable: Executable, arguments: Sequence[str]) -> int:
    """Run one command line; the exit code is Linkerd's."""
    before, name, after = _split(arguments)
    if not name:
        sys.stdout.write(_HELP)
        return 0
    if name not in COMMANDS:
        return _extension(before, name, after)
    command, run = COMMANDS[name]
    try:
        return run(executable, parse(command, [*before, *after]), SystemClock())
    except UsageError as problem:
        sys.stderr.write(f"{problem}\n")
    except Refused as problem:
        sys.stderr.write(str(problem))
    except ApiRefused as problem:
        sys.stderr.write(f"Error: {problem}\n")
    return 1


def _split(arguments: Sequence[str]) -> tuple[list[str], str, list[str]]:
    """Global flags before the command, the command, the rest."""
    takes_value = {f"--{flag.name}" for flag in GLOBAL if flag.kind != "bool"}
    takes_value |= {f"-{flag.short}" for flag in GLOBAL if flag.short}
    before: list[str] = []
    waiting = list(arguments)
    while waiting:
        word = waiting.pop(0)
        if not word.startswith("-"):
            return before, word, waiting
        before.append(word)
        if word in takes_value and waiting:
            before.append(waiting.pop(0))
    return before, "", []


def _extension(before: Sequence[str], name: str, after: Sequence[str]) -> int:
    if before:
        sys.stderr.write("Cannot accept flags before Linkerd extension name\n")
        return 1
    code = extensions.execute(name, after)
    if code is None:
        sys.stderr.write(f'Error: unknown command "{name}" for "linkerd"\nRun \'linkerd --help\' for usage.\n')
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main(Executable(Release(sys.argv[1])), sys.argv[2:]))
