"""Writes a `linkerd` executable of one version: the stand-in of Linkerd's command line."""

import sys
from pathlib import Path

from steward.testing.linkerd.release import Release

_SCRIPT = '''#!{python}
"""Stand-in `linkerd` {version}, for tests."""
import sys

sys.path.insert(0, {library!r})

from steward.testing.linkerd.cli.__main__ import main
from steward.testing.linkerd.cli.checking import Executable
from steward.testing.linkerd.release import Release

sys.exit(main(Executable(Release({version!r}), feed={feed!r}, manifests={manifests!r}), sys.argv[1:]))
'''


def write_cli(directory: Path, version: str, *, feed: str = "", manifests: Path | None = None) -> Path:
    """Write `directory/<version>/linkerd` and return its path.

    `feed` is the address of a version document that `linkerd check` asks for the latest version; without one the
    executable takes itself for the latest. With `manifests`, `install` and `upgrade` print
    `manifests/<version>/crds.yaml` and `control-plane.yaml` with certificates and values filled in, instead of the
    stand-in's own objects.
    """
    release = Release(version)
    path = directory / str(release.parsed) / "linkerd"
    path.parent.mkdir(parents=True, exist_ok=True)
    script = _SCRIPT.format(
        python=sys.executable,
        version=version,
        library=str(Path(__file__).parents[3]),
        feed=feed,
        manifests=str(manifests) if manifests else "",
    )
    # Written aside and moved, so that a copy that is being run is never half a file.
    aside = path.with_suffix(".new")
    aside.write_text(script, encoding="utf-8")
    aside.chmod(0o755)
    aside.replace(path)
    return path
