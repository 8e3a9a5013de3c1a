"""The flags that every command has, and the frame that each command runs in.

Linkerd's contract wants its global flags behind the name of the extension, before or after the command: so each group
and each command has them, and the one nearest to the end of the line wins.
"""

import asyncio
import inspect
import os
import sys
import traceback
from collections.abc import Callable, Coroutine, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, fields, is_dataclass
from datetime import timedelta
from functools import partial, wraps
from typing import Annotated, Concatenate, ParamSpec, TypeVar, cast, get_args

import typer
from pydantic import ValidationError

from steward.cli.diagnostics import configure
from steward.cli.environment import Environment
from steward.cli.exit_codes import ExitCode
from steward.cli.explain import explain
from steward.cli.go_flags import duration, members
from steward.cli.output import Format, note
from steward.clock import Clock, SystemClock
from steward.errors import StewardError

P = ParamSpec("P")
C = TypeVar("C", bound=Callable[..., None])
T = TypeVar("T")
_option = partial(typer.Option, rich_help_panel="Global flags")


@dataclass(frozen=True, slots=True)
class Flags:
    """The global flags."""

    context: Annotated[str, _option(help="Name of the kubeconfig context to use.", metavar="NAME")] = ""
    kubeconfig: Annotated[str, _option(help="Kubeconfig file to use.", metavar="FILE")] = ""
    as_user: Annotated[str, _option("--as", help="Act as this user.", metavar="USER")] = ""
    as_group: Annotated[
        list[str] | None, _option(help="Act as a member of this group; repeatable.", metavar="GROUP")
    ] = None
    linkerd_namespace: Annotated[
        str,
        _option(
            "--linkerd-namespace",
            "-L",
            help="Namespace of Linkerd's control plane (LINKERD_NAMESPACE, else linkerd).",
            metavar="NAME",
        ),
    ] = ""
    api_addr: Annotated[str, _option(help="Accepted as by every Linkerd extension; not used.", metavar="ADDR")] = ""
    verbose: Annotated[bool, _option("--verbose", help="Say everything on stderr, tracebacks included.")] = False

    @property
    def groups(self) -> tuple[str, ...]:
        """The groups to act as a member of."""
        return members(self.as_group or [])

    def over(self, outer: "Flags") -> "Flags":
        """These flags, and where one is not given, that of the group around the command."""
        return Flags(*(getattr(self, each.name) or getattr(outer, each.name) for each in fields(self)))


@dataclass(frozen=True, slots=True)
class Session:
    """What a command has at hand: its flags, the environment and the time."""

    flags: Flags
    environment: Environment
    clock: Clock

    @property
    def linkerd_namespace(self) -> str:
        """Where Linkerd's control plane is."""
        return self.flags.linkerd_namespace or self.environment.linkerd_namespace or "linkerd"


def remember(ctx: typer.Context, **given: object) -> None:
    """Callback of every group: keep its flags for the command behind it."""
    ctx.obj = _made(Flags, given).over(_around(ctx))


def leaf(body: Callable[Concatenate[Session, P], Coroutine[object, object, ExitCode]]) -> Callable[..., None]:
    """`body` as a command: with the global flags, and with errors told as sentences and exit codes.

    A parameter whose type is a dataclass stands for one flag a field.
    """
    own = list(inspect.signature(body).parameters.values())[1:]
    groups = {each.name: cast("type[object]", each.annotation) for each in own if is_dataclass(each.annotation)}
    single = [each for each in own if each.name not in groups]

    @wraps(body)
    def command(ctx: typer.Context, **given: object) -> None:
        flags = _made(Flags, given).over(_around(ctx))
        configure(verbose=flags.verbose)
        session = Session(flags, Environment.read(), SystemClock())
        values = {name: _made(kind, given) for name, kind in groups.items()}
        values |= {each.name: given[each.name] for each in single}
        # The names come from the signature of `body` itself, which is what the line was parsed by.
        run = cast("Callable[..., Coroutine[object, object, ExitCode]]", body)
        raise typer.Exit(_ended(lambda: asyncio.run(run(session, **values)), verbose=flags.verbose))

    return _with_parameters(command, [*single, *(flag for kind in (*groups.values(), Flags) for flag in _flags(kind))])


def _with_parameters(command: C, parameters: Sequence[inspect.Parameter]) -> C:
    """Show typer the flags of `command`, which takes them all as keywords."""
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    ordered = sorted((each.replace(kind=kind) for each in parameters), key=lambda each: each.default is not each.empty)
    shown = [inspect.Parameter("ctx", kind, annotation=typer.Context), *ordered]
    command.__signature__ = inspect.Signature(shown)  # type: ignore[attr-defined]  # read by inspect, declared by nobody
    command.__annotations__ = {each.name: each.annotation for each in shown}
    return command


def _flags(kind: type[object], *, hidden: bool = False) -> list[inspect.Parameter]:
    """The fields of a dataclass of flags, as parameters."""
    parameters = list(inspect.signature(kind).parameters.values())
    return [each.replace(annotation=_hidden(each.annotation)) for each in parameters] if hidden else parameters


def _hidden(annotation: object) -> object:
    """The same flag, left out of the help: a group's help is about its commands, each of which shows it again."""
    plain, option = get_args(annotation)
    unseen = copy(option)
    unseen.hidden = True
    return Annotated[plain, unseen]


def _made(kind: type[T], given: Mapping[str, object]) -> T:
    return cast("Callable[..., T]", kind)(**{name: given[name] for name in inspect.signature(kind).parameters})


_with_parameters(remember, _flags(Flags, hidden=True))


def _ended(run: Callable[[], ExitCode], *, verbose: bool) -> int:
    try:
        return int(run())
    except KeyboardInterrupt:
        note("interrupted; what was begun in the cluster goes on")
        return int(ExitCode.INTERRUPTED)
    except BrokenPipeError:
        # The reader had enough, as `head` does; the interpreter must not complain about it at exit either.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return int(ExitCode.OK)
    except TimeoutError:
        note("error: the time given with --timeout passed")
        return int(ExitCode.TIMEOUT)
    except (StewardError, ValidationError) as error:
        explanation = explain(error)
        if verbose:
            traceback.print_exc()
        note(str(explanation))
        return int(explanation.code)


def _around(ctx: typer.Context) -> Flags:
    return ctx.obj if isinstance(ctx.obj, Flags) else Flags()


def _duration(text: str) -> timedelta:
    try:
        return duration(text)
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


Output = Annotated[
    Format,
    typer.Option("--output", "-o", help="How to write the answer.", case_sensitive=False, metavar="table|json|yaml"),
]
Timeout = Annotated[
    timedelta | None,
    typer.Option(parser=_duration, help="Give up after this time, for example 30m.", metavar="DURATION"),
]
Nats = Annotated[
    str,
    typer.Option(
        "--nats",
        help="NATS servers, separated by commas (STEWARD_NATS); without any, a port-forward is opened.",
        metavar="URL",
    ),
]


def limit(timeout: timedelta | None) -> asyncio.Timeout:
    """The context that `--timeout` asks for."""
    return asyncio.timeout(timeout.total_seconds() if timeout is not None else None)
