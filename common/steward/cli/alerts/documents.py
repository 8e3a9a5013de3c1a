"""Objects in files: `-f FILE`, `-f FOLDER`, `-f -` for stdin; YAML or JSON, several documents in one."""

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from pydantic import ValidationError

from steward.cli.exit_codes import ExitCode
from steward.cli.explain import Refusal, first_problem
from steward.jsonvalue import JsonObject, rows, text
from steward.resources.base import Resource
from steward.yamlvalue import MalformedYaml, parse_yaml_documents

R = TypeVar("R", bound=Resource)

_SUFFIXES = (".yaml", ".yml", ".json")
_STDIN = "-"

Files = Annotated[
    list[Path] | None,
    typer.Option("--file", "-f", help="Read this file or folder instead of the cluster; - is stdin.", metavar="FILE"),
]


@dataclass(frozen=True, slots=True)
class Document:
    """An object, and where it stands."""

    source: str
    number: int
    """Of the object in the file, the first is 1."""
    content: JsonObject

    @property
    def kind(self) -> str:
        """What kind of object it is."""
        return text(self.content, "kind")

    @property
    def openslo(self) -> bool:
        """Whether it is one of OpenSLO, which has kinds that are called as ours and as Kubernetes' are."""
        return _is_openslo(self.content)

    @property
    def object(self) -> str:
        """How messages call it."""
        metadata = self.content.get("metadata")
        parts = (self.kind, text(metadata, "namespace"), text(metadata, "name"))
        return "/".join(each for each in parts if each) or "an object without kind"

    def __str__(self) -> str:
        return f"{self.source} #{self.number}: {self.object}"


def read_documents(files: Iterable[Path], namespace: str) -> list[Document]:
    """Every object in the files, lists taken apart. `namespace` is that of objects that name none.

    Raise Refusal where a file cannot be read.
    """
    found: list[Document] = []
    for path in files:
        for source in _sources(path):
            parts = [part for each in _parsed(source) for part in _parts(each, str(source))]
            found += [
                Document(str(source), number, _placed(part, namespace)) for number, part in enumerate(parts, start=1)
            ]
    return found


def _is_openslo(content: JsonObject) -> bool:
    return text(content, "apiVersion").partition("/")[0] == "openslo"


def _sources(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    found = sorted(each for each in path.rglob("*") if each.suffix in _SUFFIXES and each.is_file())
    if not found:
        raise Refusal(f"folder {str(path)!r} holds no file with {', '.join(_SUFFIXES)}", "name a file", ExitCode.USAGE)
    return found


def _parsed(path: Path) -> list[object]:
    try:
        raw = sys.stdin.buffer.read() if str(path) == _STDIN else path.read_bytes()
    except OSError as error:
        reason = error.strerror or str(error)
        raise Refusal(f"{str(path)!r} cannot be read: {reason}", "check the path", ExitCode.USAGE) from error
    try:
        return [*parse_yaml_documents(raw)]
    except MalformedYaml as error:
        raise Refusal(f"{str(path)!r} is no YAML: {error}", "correct it there") from error


def _parts(document: object, source: str) -> list[JsonObject]:
    if not isinstance(document, dict):
        raise Refusal(f"{source!r} holds something that is no object", "an object begins with apiVersion and kind")
    return rows(document, "items") if text(document, "kind") == "List" else [document]


def _placed(content: JsonObject, namespace: str) -> JsonObject:
    metadata = content.get("metadata")
    # OpenSLO has no namespaces.
    if not isinstance(metadata, dict) or metadata.get("namespace") or _is_openslo(content):
        return content
    return {**content, "metadata": {**metadata, "namespace": namespace}}


def read_as(kind: type[R], documents: Sequence[Document]) -> list[R]:
    """The objects of one kind as values. Raise Refusal where one does not fit its schema."""
    found: list[R] = []
    for each in documents:
        if each.kind != kind.kind_name or each.openslo:
            continue
        try:
            found.append(kind.of(each.content))
        except ValidationError as error:
            remedy = f"linkerd steward alerts check -f {each.source} says all that is wrong"
            raise Refusal(f"{each}: {first_problem(error)}", remedy) from error
    return found
