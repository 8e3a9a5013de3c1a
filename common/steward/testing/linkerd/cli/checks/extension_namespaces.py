"""Namespaces of extensions: one for each name."""

from collections import defaultdict

from steward.jsonvalue import text, texts
from steward.testing.linkerd.cli.checks.check import Check, Section
from steward.testing.linkerd.cli.seen import Seen

EXTENSION = "linkerd.io/extension"


def by_extension(seen: Seen) -> dict[str, list[str]]:
    """Names of the namespaces that claim to be an extension's, by extension."""
    found: dict[str, list[str]] = defaultdict(list)
    for namespace in seen.namespaces:
        name = texts(namespace, "metadata", "labels").get(EXTENSION)
        if name:
            found[name].append(text(namespace, "metadata", "name"))
    return {name: sorted(homes) for name, homes in sorted(found.items())}


def _unique(seen: Seen) -> str:
    twice = [
        f'* label "{EXTENSION}={name}" is present on more than one namespace:'
        + "".join(f"\n\t\t* {home}" for home in homes)
        for name, homes in by_extension(seen).items()
        if len(homes) > 1
    ]
    return "some extensions have invalid configuration\n\t" + "\n\t".join(twice) if twice else ""


EXTENSIONS = Section(
    "linkerd-extension-checks",
    (Check("namespace configuration for extensions", "l5d-extension-namespaces", _unique, warning=True),),
)
