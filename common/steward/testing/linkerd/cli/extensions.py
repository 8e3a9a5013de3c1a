"""Extensions: executables `linkerd-NAME` on PATH, run in the place of a command and by `linkerd check`."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from steward.jsonvalue import JsonObject, text
from steward.testing.linkerd.cli.flags import Parsed
from steward.testing.linkerd.cli.report import HINTS, Category, Outcome, Report, Result

_PREFIX = "linkerd-"
_FORWARDED = ("api-addr", "context", "as")
_METADATA_WITHIN = 10


@dataclass(frozen=True, slots=True)
class Extension:
    """One executable."""

    name: str
    path: Path


def on_path() -> dict[str, Extension]:
    """Every `linkerd-*` executable, by its file name; the first on PATH wins."""
    found: dict[str, Extension] = {}
    for folder in os.environ.get("PATH", "").split(os.pathsep):
        for path in sorted(Path(folder).glob(f"{_PREFIX}*")) if folder else ():
            if path.is_file() and os.access(path, os.X_OK):
                found.setdefault(path.name, Extension(path.name, path))
    return found


def execute(name: str, arguments: Sequence[str]) -> int | None:
    """Run the extension `name` with the arguments as they are; None where there is none."""
    extension = on_path().get(_PREFIX + name)
    if extension is None:
        return None
    code = subprocess.run([extension.name, *arguments], executable=extension.path, check=False).returncode
    if code:
        sys.stderr.write(f"exit status {code}\n")
    # Whatever it was, Linkerd's own exit code is 1.
    return 1 if code else 0


def reports(labelled: Sequence[str], parsed: Parsed, wait: str) -> list[Report]:
    """One report for each extension that wants to be checked, then one for each that is missing."""
    there = on_path()
    wanted = {_PREFIX + name for name in labelled}
    chosen = [one for one in there.values() if one.name in wanted or _always(one)]
    absent = sorted(wanted - set(there))
    return [
        *(_checked(one, arguments_for(parsed, wait)) for one in sorted(chosen, key=lambda one: one.name)),
        *(_missing(name) for name in absent),
    ]


def arguments_for(parsed: Parsed, wait: str) -> list[str]:
    """The flags an extension's check is called with: those that were set, and a few that always are."""
    forwarded = [f"--{name}={parsed.word(name)}" for name in _FORWARDED if parsed.word(name)]
    forwarded.append(f"--as-group=[{','.join(parsed.all('as-group'))}]")
    if parsed.word("kubeconfig"):
        forwarded.append(f"--kubeconfig={parsed.word('kubeconfig')}")
    forwarded.append(f"--linkerd-namespace={parsed.word('linkerd-namespace', 'linkerd')}")
    forwarded.append(f"--verbose={_switch(parsed, 'verbose')}")
    if parsed.word("namespace"):
        forwarded.append(f"--namespace={parsed.word('namespace')}")
    return ["check", *forwarded, f"--proxy={_switch(parsed, 'proxy')}", f"--wait={wait}", "--output=json"]


def _switch(parsed: Parsed, name: str) -> str:
    return "true" if parsed.on(name) else "false"


def _always(extension: Extension) -> bool:
    try:
        done = subprocess.run(
            [extension.name, "_extension-metadata"],
            executable=extension.path,
            capture_output=True,
            check=True,
            timeout=_METADATA_WITHIN,
        )
        said = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.SubprocessError):
        return False
    return (
        isinstance(said, dict)
        and text(said, "name").lower() == extension.name.lower()
        and text(said, "checks") == "always"
    )


def _checked(extension: Extension, arguments: Sequence[str]) -> Report:
    done = subprocess.run(
        [extension.name, *arguments], executable=extension.path, capture_output=True, text=True, check=False
    )
    command = " ".join([extension.name, *arguments])
    try:
        document: JsonObject | None = json.loads(done.stdout)
        problem = ""
    except ValueError:
        document, problem = None, gos_complaint(done.stdout)
    if isinstance(document, dict) and "categories" in document:
        return Report.parse(document)
    said = f'invalid extension check output from "{command}" (JSON object expected):\n{done.stdout}\n[{problem}]'
    return _one(extension.name, f"Running: {command}", Outcome.ERROR, done.stderr or said)


def _missing(name: str) -> Report:
    error = f'exec: "{name}": executable file not found in $PATH'
    return _one(name, f"Linkerd extension command {name} exists", Outcome.WARNING, error)


def _one(category: str, description: str, outcome: Outcome, error: str) -> Report:
    return Report((Category(category, (Result(description, outcome, f"{HINTS}extensions", error),)),))


def gos_complaint(said: str) -> str:
    """What Go's JSON reader says about text that is no JSON."""
    stripped = said.lstrip()
    if not stripped:
        return "unexpected end of JSON input"
    for literal in ("null", "true", "false"):
        if stripped[0] == literal[0]:
            return _broken_literal(stripped, literal)
    if stripped[0] in '{["-0123456789':
        return "unexpected end of JSON input"
    return f"invalid character '{stripped[0]}' looking for beginning of value"


def _broken_literal(said: str, literal: str) -> str:
    for got, wanted in zip(said, literal, strict=False):
        if got != wanted:
            return f"invalid character '{got}' in literal {literal} (expecting '{wanted}')"
    rest = said[len(literal) :].strip()
    return f"invalid character '{rest[0]}' after top-level value" if rest else "JSON object expected"
