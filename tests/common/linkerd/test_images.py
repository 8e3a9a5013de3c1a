"""Image references in every form that registries allow."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from steward.linkerd.images import Image
from steward.linkerd.version import Version

SHA = "sha256:" + "0123456789abcdef" * 4


@pytest.mark.parametrize(
    ("reference", "repository", "tag", "digest"),
    [
        ("cr.l5d.io/linkerd/proxy:edge-26.8.3", "cr.l5d.io/linkerd/proxy", "edge-26.8.3", ""),
        ("registry.local:5000/linkerd/proxy:edge-26.8.3", "registry.local:5000/linkerd/proxy", "edge-26.8.3", ""),
        ("registry.local:5000/linkerd/proxy", "registry.local:5000/linkerd/proxy", "", ""),
        ("localhost:18080/proxy", "localhost:18080/proxy", "", ""),
        (f"cr.l5d.io/linkerd/proxy@{SHA}", "cr.l5d.io/linkerd/proxy", "", SHA),
        (f"host:5000/proxy:edge-26.8.3@{SHA}", "host:5000/proxy", "edge-26.8.3", SHA),
        ("[::1]:5000/proxy:edge-26.8.3", "[::1]:5000/proxy", "edge-26.8.3", ""),
        ("proxy:edge-26.8.3", "proxy", "edge-26.8.3", ""),
        ("proxy", "proxy", "", ""),
        ("proxy:", "proxy:", "", ""),
        ("proxy@latest", "proxy@latest", "", ""),
        ("", "", "", ""),
    ],
)
def test_a_reference_falls_into_its_parts(reference: str, repository: str, tag: str, digest: str) -> None:
    assert Image.parse(reference) == Image(repository, tag, digest)


def test_a_port_is_never_taken_for_a_version() -> None:
    assert Image.parse("host:18080/linkerd/proxy").version is None


def test_a_tag_that_names_a_release_is_a_version() -> None:
    assert Image.parse("host:5000/proxy:edge-26.8.3").version == Version.parse("edge-26.8.3")
    assert Image.parse("host:5000/proxy:main").version is None


@given(st.text(max_size=80))
def test_any_text_is_some_reference_and_is_written_as_it_was(reference: str) -> None:
    assert str(Image.parse(reference)) == reference.strip()
