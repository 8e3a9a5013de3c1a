"""Write what is generated from the code and from deploy/: run by `make manifests`, compared by the tests here.

deploy/base/plans/               the saved plans of upgrader, as a cluster gets them
common/steward/cli/manifests/    the overlays as `linkerd-steward install` prints them
README.md                        the tables of metrics
"""

import sys
from pathlib import Path

from tests.deploy.kustomize import DEPLOY, OVERLAYS, REPOSITORY, KubectlMissing, rendered
from tests.deploy.metrics_table import with_tables

PLANS = REPOSITORY / "services/upgrader/plans"
COPIES = DEPLOY / "base/plans"
MANIFESTS = REPOSITORY / "common/steward/cli/manifests"
README = REPOSITORY / "README.md"
_GENERATED = "# Written by `make manifests`.\n"


def plans() -> dict[Path, str]:
    """The copies of the plans, and the kustomization that names them."""
    sources = sorted(PLANS.glob("*.yaml"))
    listed = "".join(f"- {source.name}\n" for source in sources)
    head = "apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nresources:\n"
    copies = {COPIES / source.name: _GENERATED + source.read_text(encoding="utf-8") for source in sources}
    return {COPIES / "kustomization.yaml": _GENERATED + head + listed, **copies}


def manifests() -> dict[Path, str]:
    """The overlays, rendered. Needs kubectl."""
    return {MANIFESTS / f"{overlay}.yaml": _GENERATED + rendered(overlay) for overlay in OVERLAYS}


def readme() -> dict[Path, str]:
    """The README with its tables."""
    return {README: with_tables(README.read_text(encoding="utf-8"))}


def main() -> None:
    """Write everything; the plans first, because the overlays hold them."""
    for stale in COPIES.glob("*.yaml"):
        stale.unlink()
    for generate in (plans, manifests, readme):
        for path, content in generate().items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content, encoding="utf-8")
            sys.stdout.write(f"{path.relative_to(REPOSITORY)}\n")


if __name__ == "__main__":
    try:
        main()
    except KubectlMissing as missing:
        sys.exit(str(missing))
