"""The default values of a chart, and what somebody gave beyond them."""

import tarfile
import zlib
from pathlib import Path

import yaml

from steward.errors import ToolError
from steward.jsonvalue import Json, JsonObject, table

_LARGEST = 4 * 1024 * 1024


def member_of_chart(path: Path, name: str) -> str:
    """A file at the top of a chart, which is a folder or an archive. Raise ToolError where it cannot be read."""
    try:
        return (path / name).read_text() if path.is_dir() else _member_of_archive(path, name)
    except (OSError, EOFError, zlib.error, tarfile.TarError, UnicodeDecodeError) as error:
        raise ToolError(f"chart {str(path)!r} has no {name} that can be read: {error}") from error


def read_values(path: Path) -> JsonObject:
    """The chart's defaults."""
    try:
        parsed: Json = yaml.safe_load(member_of_chart(path, "values.yaml"))
    except yaml.YAMLError as error:
        raise ToolError(f"the values.yaml of chart {str(path)!r} is no YAML: {error}") from error
    return table({"values": parsed}, "values")


def differences(merged: JsonObject, defaults: JsonObject) -> JsonObject:
    """What must be given on top of `defaults` to come to `merged`."""
    given: JsonObject = {}
    for key, value in merged.items():
        default = defaults.get(key)
        if isinstance(value, dict) and isinstance(default, dict):
            inner = differences(value, default)
            if inner:
                given[key] = inner
        elif value != default:
            given[key] = value
    return given


def _member_of_archive(path: Path, name: str) -> str:
    with tarfile.open(path, "r:gz") as archive:
        for member in archive:
            if member.isfile() and member.name.count("/") == 1 and member.name.endswith(f"/{name}"):
                if member.size > _LARGEST:
                    raise tarfile.ReadError(f"it has {member.size} bytes")
                file = archive.extractfile(member)
                return file.read().decode() if file is not None else ""
    raise tarfile.ReadError("the archive holds none")
