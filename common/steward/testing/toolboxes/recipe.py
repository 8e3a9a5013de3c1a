"""What one `go build` makes: a pinned module folder, main packages, build tags, and the versions to stamp."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from steward.errors import ConfigurationError

_PINNED = ("go.mod", "go.sum")


@dataclass(frozen=True, slots=True)
class Program:
    """A Go main package, and the name its binary gets."""

    package: str
    name: str


@dataclass(frozen=True, slots=True)
class Recipe:
    """One `go build`: a module folder, what to build in it, and the versions to stamp into the binaries."""

    folder: str
    programs: tuple[Program, ...]
    stamps: tuple[tuple[str, str], ...]
    """Pairs of a Go variable and a template over the versions in go.mod."""
    modules: Path = field(repr=False)
    """Where the module folder lies. Decides nothing about the outcome."""
    tags: tuple[str, ...] = field(default=(), repr=False)
    placeholders: tuple[str, ...] = field(default=(), repr=False)
    """Files that a module embeds and does not bring; they are laid into a vendored copy of the folder."""

    @property
    def directory(self) -> Path:
        return self.modules / self.folder

    def ingredients(self) -> bytes:
        """Everything here that decides the outcome."""
        more = repr((self.tags, self.placeholders)) if self.tags or self.placeholders else ""
        pinned = b"".join((self.directory / name).read_bytes() for name in _PINNED)
        return repr(self).encode() + pinned + more.encode()

    def link_flags(self) -> str:
        """Without these the programs do not know their own version, and every version gate misfires."""
        go_mod = (self.directory / _PINNED[0]).read_text()
        return " ".join(["-s", "-w", *(f"-X {variable}={_stamp(go_mod, value)}" for variable, value in self.stamps)])


def _stamp(go_mod: str, template: str) -> str:
    wanted = re.fullmatch(r"\{(?P<module>[^:}]+)(:(?P<form>[a-z]+))?\}", template)
    if wanted is None:
        return template
    # A `replace` comes last in the file and wins, as it does for Go.
    found = re.findall(rf"(?m)^.*{re.escape(wanted['module'])} (v\S+)", go_mod)
    if not found:
        raise ConfigurationError(f"go.mod does not require {wanted['module']}")
    return _FORMS[wanted["form"] or "tag"](str(found[-1]))


def _prometheus(version: str) -> str:
    """Prometheus 3.12.0 is v0.312.0 to Go, which would ask for another module path otherwise."""
    _, minor, patch = version.split(".")
    return f"{minor[:-2]}.{int(minor[-2:])}.{patch}"


_FORMS: Mapping[str, Callable[[str], str]] = {
    "tag": str,
    "minor": lambda version: version.split(".")[1],
    "bare": lambda version: version.removeprefix("v"),
    "prometheus": _prometheus,
}
