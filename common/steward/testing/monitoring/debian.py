"""Debian 12's Prometheus and Alertmanager: the oldest that what we write must load in, where apt offers them.

The packages are downloaded and unpacked into the cache; nothing is installed, and nobody needs to be root.
"""

import hashlib
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from steward.errors import ConfigurationError
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.shelf import Report, Shelf, tell_people

_PACKAGES = ("prometheus=2.42.*", "prometheus-alertmanager=0.25.*")
_PROGRAMS = (
    ("prometheus", "prometheus"),
    ("promtool", "promtool"),
    ("prometheus-alertmanager", "alertmanager"),
    ("amtool", "amtool"),
)
"""What Debian calls a program, and its authors."""
ASSETS = "alertmanager-assets"
"""The folder of Alertmanager's own templates, in the tools' folder; Alertmanager looks for it where it is started."""
# Debian's Alertmanager reads them from where the package would have put them. A path of the same length takes the place
# of that one, so that nothing has to be installed.
_INSTALLED = b"/usr/share/prometheus/alertmanager"
_STARTED = f"/proc/self/cwd/{ASSETS}".encode()
_PATIENCE = 180.0


class NotOffered(ConfigurationError):
    """This machine's apt does not bring the old pair, or what it brings does not run here."""


def unpack(settings: ToolboxSettings, report: Report | None = None) -> Path:
    """The folder of the old programs, from the cache or from apt."""
    shelf = _shelf(settings)
    tell = report or tell_people
    if not shelf.built.complete():
        shelf.fill(lambda empty: _Apt(settings).fetch(empty, tell), tell)
    return shelf.built.directory


def _shelf(settings: ToolboxSettings) -> Shelf:
    key = hashlib.sha256(repr((platform.machine(), _PACKAGES, _PROGRAMS, _STARTED)).encode()).hexdigest()[:20]
    return Shelf(settings.cache, "monitoring-debian", "Debian's Prometheus and Alertmanager", key)


class _Apt:
    def __init__(self, settings: ToolboxSettings) -> None:
        self._settings = settings
        self._apt_get = self._found("apt-get")
        self._dpkg_deb = self._found("dpkg-deb")

    def fetch(self, target: Path, tell: Report) -> None:
        tell(f"apt-get download: {' '.join(_PACKAGES)}")
        with tempfile.TemporaryDirectory(prefix="steward-debian-") as name:
            folder = Path(name)
            self._run([self._apt_get, "download", *_PACKAGES], folder)
            for package in sorted(folder.glob("*.deb")):
                self._run([self._dpkg_deb, "-x", str(package), "unpacked"], folder)
            system = folder / "unpacked" / "usr"
            (target / ASSETS).mkdir()
            for template in (system / "share" / "prometheus" / "alertmanager").glob("*.tmpl"):
                shutil.copy(template, target / ASSETS)
            for theirs, ours in _PROGRAMS:
                (target / ours).write_bytes((system / "bin" / theirs).read_bytes().replace(_INSTALLED, _STARTED))
                (target / ours).chmod(0o755)
                # They need a C library, and it is not said that this machine's is new enough.
                self._run([str(target / ours), "--version"], folder)

    def _found(self, program: str) -> str:
        path = shutil.which(program, path=self._settings.environment.get("PATH"))
        if path is None:
            raise NotOffered(f"the old Prometheus and Alertmanager come from apt, and there is no {program} on PATH")
        return path

    def _run(self, argv: Sequence[str], folder: Path) -> None:
        said = f"`{' '.join([Path(argv[0]).name, *argv[1:]])}`"
        try:
            done = subprocess.run(
                argv,
                cwd=folder,
                env=self._settings.child_environment(LC_ALL="C"),
                capture_output=True,
                text=True,
                check=False,
                timeout=_PATIENCE,
            )
        except subprocess.TimeoutExpired as late:
            raise NotOffered(f"{said} took more than {_PATIENCE:g} s") from late
        if done.returncode:
            reason = (done.stderr or done.stdout).strip() or f"it ended with {done.returncode}"
            raise NotOffered(f"no old Prometheus and Alertmanager on this machine: {said} says: {reason}")
