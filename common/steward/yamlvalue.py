"""Foreign YAML as typed values, read by libyaml where it is built in.

libyaml's loader goes down into the document by recursion in C, and a document that is nested deeply enough ends the
process. The depth is therefore counted in the stream of parse events first, where nothing recurses.
"""

from typing import cast

import yaml

from steward.jsonvalue import Json

DEEPEST = 64
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class MalformedYaml(ValueError):
    """The text is no YAML that is read here; the message says why in one line."""


def parse_yaml(document: str | bytes, *, deepest: int = DEEPEST) -> Json:
    """The one document in `document`. Raise MalformedYaml where there is none, or it is nested too deeply."""
    try:
        _refuse_depth(document, deepest)
        return cast("Json", yaml.load(document, Loader=_LOADER))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise MalformedYaml(str(error).split("\n", 1)[0]) from error


def parse_yaml_documents(stream: str | bytes, *, deepest: int = DEEPEST) -> list[Json]:
    """Every document in `stream`, empty ones left out. Raise MalformedYaml where one cannot be read."""
    try:
        _refuse_depth(stream, deepest)
        documents: list[Json] = list(yaml.load_all(stream, Loader=_LOADER))
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError, ValueError) as error:
        raise MalformedYaml(" ".join(str(error).split())) from error
    return [each for each in documents if each is not None]


def _refuse_depth(document: str | bytes, deepest: int) -> None:
    depth = 0
    for event in yaml.parse(document, Loader=_LOADER):
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
            if depth > deepest:
                raise MalformedYaml(f"nested more than {deepest} levels deep")
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1


def render_yaml(value: Json) -> str:
    """`value` in the one form that it has here: members in order, nothing folded. What is equal is equal text."""
    return yaml.dump(value, Dumper=_DUMPER, sort_keys=True, allow_unicode=True, width=1_000_000)
