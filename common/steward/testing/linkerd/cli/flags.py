"""Command lines as Linkerd's own parser takes them: long, short and grouped flags, and its errors with the usage."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from re import compile as pattern


class UsageError(Exception):
    """The command line is wrong; the text is what goes to standard error."""


@dataclass(frozen=True, slots=True)
class Flag:
    """One flag. `kind` is `bool`, `string`, `stringArray` or `duration`."""

    name: str
    kind: str
    help: str
    short: str = ""
    default: str = ""


@dataclass(frozen=True, slots=True)
class Command:
    """One command and its flags."""

    name: str
    flags: tuple[Flag, ...]


@dataclass(slots=True)
class Parsed:
    """What was given: the values of flags by name, and everything else."""

    values: dict[str, list[str]] = field(default_factory=dict)
    words: list[str] = field(default_factory=list)

    def word(self, name: str, default: str = "") -> str:
        """The last value of a flag."""
        return self.values.get(name, [default])[-1]

    def on(self, name: str) -> bool:
        """Whether a switch is on."""
        return self.word(name) == "true"

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a flag that may be repeated."""
        return tuple(self.values.get(name, ()))


GLOBAL = (
    Flag(
        "api-addr",
        "string",
        "Override kubeconfig and communicate directly with the control plane at host:port (mostly for testing)",
    ),
    Flag("as", "string", "Username to impersonate for Kubernetes operations"),
    Flag("as-group", "stringArray", "Group to impersonate for Kubernetes operations"),
    Flag(
        "cni-namespace",
        "string",
        "Namespace in which the Linkerd CNI plugin is installed",
        default="linkerd-cni",
    ),
    Flag("context", "string", "Name of the kubeconfig context to use"),
    Flag("kubeconfig", "string", "Path to the kubeconfig file to use for CLI requests"),
    Flag(
        "linkerd-namespace",
        "string",
        "Namespace in which Linkerd is installed ($LINKERD_NAMESPACE)",
        short="L",
        default="linkerd",
    ),
    Flag("verbose", "bool", "Turn on debug logging"),
)

_HELP = "help"
_DURATION = pattern(r"(\d+(?:\.\d+)?)(h|ms|m|s)")
_UNITS = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 0.001}


def parse(command: Command, arguments: Sequence[str]) -> Parsed:
    """Read `arguments`; UsageError as the real parser words it."""
    parsed = Parsed()
    known = {flag.name: flag for flag in (*command.flags, *GLOBAL)}
    short = {flag.short: flag for flag in known.values() if flag.short} | {"h": Flag(_HELP, "bool", "", "h")}
    known[_HELP] = short["h"]
    waiting = list(arguments)
    while waiting:
        argument = waiting.pop(0)
        if argument == "--":
            parsed.words += waiting
            break
        if argument.startswith("--"):
            _long(argument, known, waiting, parsed, command)
        elif argument.startswith("-") and argument != "-":
            _short(argument, short, waiting, parsed, command)
        else:
            parsed.words.append(argument)
    return parsed


def _long(argument: str, known: dict[str, Flag], waiting: list[str], parsed: Parsed, command: Command) -> None:
    name, equals, value = argument[2:].partition("=")
    flag = known.get(name)
    if flag is None:
        raise UsageError(f"Error: unknown flag: --{name}\n{usage(command)}")
    if not equals:
        if flag.kind == "bool":
            value = "true"
        elif waiting:
            value = waiting.pop(0)
        else:
            raise UsageError(f"Error: flag needs an argument: --{name}\n{usage(command)}")
    parsed.values.setdefault(name, []).append(value)


def _short(argument: str, short: dict[str, Flag], waiting: list[str], parsed: Parsed, command: Command) -> None:
    letters = argument[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = short.get(letter)
        if flag is None:
            raise UsageError(f"Error: unknown shorthand flag: '{letter}' in {argument}\n{usage(command)}")
        if flag.kind == "bool":
            parsed.values.setdefault(flag.name, []).append("true")
            continue
        if not letters and not waiting:
            raise UsageError(f"Error: flag needs an argument: '{letter}' in {argument}\n{usage(command)}")
        value = letters.removeprefix("=") if letters else waiting.pop(0)
        parsed.values.setdefault(flag.name, []).append(value)
        return


def usage(command: Command) -> str:
    """The usage that follows an error."""
    own = sorted((*command.flags, Flag(_HELP, "bool", f"help for {command.name}", "h")), key=lambda flag: flag.name)
    return f"Usage:\n  linkerd {command.name} [flags]\n\nFlags:\n{_listed(own)}\n\nGlobal Flags:\n{_listed(GLOBAL)}\n"


def _listed(flags: Sequence[Flag]) -> str:
    left = [
        f"  {f'-{flag.short}, ' if flag.short else '    '}--{flag.name}{'' if flag.kind == 'bool' else f' {flag.kind}'}"
        for flag in flags
    ]
    width = max(len(one) for one in left) + 3
    return "\n".join(one.ljust(width) + flag.help + _default(flag) for one, flag in zip(left, flags, strict=True))


def duration(value: str) -> timedelta:
    """A duration as Go writes it: `5m0s`, `10s`, `1m30s`, `500ms`."""
    parts = _DURATION.findall(value)
    if not parts or "".join(number + unit for number, unit in parts) != value:
        raise UsageError(f'Error: invalid argument "{value}" for "--wait" flag: time: invalid duration "{value}"\n')
    return timedelta(seconds=sum(float(number) * _UNITS[unit] for number, unit in parts))


def spelled(value: timedelta) -> str:
    """The same the other way round."""
    whole = value.total_seconds()
    if 0 < whole < 1:
        return f"{whole * 1000:g}ms"
    minutes, seconds = divmod(whole, 60)
    hours, minutes = divmod(int(minutes), 60)
    if hours:
        return f"{hours}h{minutes}m{seconds:g}s"
    return f"{minutes}m{seconds:g}s" if minutes else f"{seconds:g}s"


def _default(flag: Flag) -> str:
    return f' (default "{flag.default}")' if flag.default else ""
