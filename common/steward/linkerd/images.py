"""References of container images: registries with ports, tags, digests, and all of them together."""

import re
from dataclasses import dataclass
from typing import Self

from steward.linkerd.version import Version

_DIGEST = re.compile(r"^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}$")


@dataclass(frozen=True, slots=True)
class Image:
    """`registry:5000/linkerd/proxy:edge-26.8.3@sha256:…` in its three parts; an absent part is empty."""

    repository: str
    tag: str = ""
    digest: str = ""

    @classmethod
    def parse(cls, reference: str) -> Self:
        """Any text is a reference: what does not look like a tag or digest stays in the repository."""
        name, at, digest = reference.strip().partition("@")
        if at and not _DIGEST.fullmatch(digest):
            name, digest = reference.strip(), ""
        head, colon, tag = name.rpartition(":")
        # A colon before the last slash belongs to the registry's port, not to a tag.
        if colon and "/" not in tag and tag:
            return cls(head, tag, digest)
        return cls(name, "", digest)

    @property
    def version(self) -> Version | None:
        """The Linkerd version that the tag names, None for a digest alone or a tag that is none."""
        return Version.maybe(self.tag)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.repository}{tag}{digest}"
