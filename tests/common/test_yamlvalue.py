"""Foreign YAML is read, or refused in one line; it never ends the process."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steward.yamlvalue import MalformedYaml, parse_yaml


def test_a_document_is_read() -> None:
    assert parse_yaml("a: [1, {b: c}]") == {"a": [1, {"b": "c"}]}
    assert parse_yaml(b"") is None


@pytest.mark.parametrize(
    "document",
    [
        "{",
        "[" * 100_000,
        "- " * 100_000,
        "? " * 100_000,
        "a: !!python/object/apply:os.system [ls]",
        b"\xff\xfe\x00",
        "a: 1\n---\nb: 2",
    ],
    ids=["open", "flow", "block", "keys", "code", "bytes", "two documents"],
)
def test_what_cannot_be_read_is_refused_in_one_line(document: str | bytes) -> None:
    with pytest.raises(MalformedYaml) as refused:
        parse_yaml(document)
    assert "\n" not in str(refused.value)


@settings(deadline=None)
@given(st.text(max_size=300) | st.binary(max_size=300))
def test_no_text_whatever_is_a_crash(document: str | bytes) -> None:
    try:
        parse_yaml(document)
    except MalformedYaml:
        return
