"""Binaries built from pinned Go modules. Minutes when cold, milliseconds when warm."""

import hashlib
import json
import platform
import shutil
import subprocess
import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from steward.errors import ConfigurationError, ToolError
from steward.testing.toolboxes.recipe import Recipe
from steward.testing.toolboxes.settings import ToolboxSettings
from steward.testing.toolboxes.shelf import Report, Shelf, tell_people

_PACKAGES_A_LINE = 250


class GoMissing(ConfigurationError):
    """There is no Go toolchain, and the binaries are not in the cache yet."""


@dataclass(frozen=True, slots=True)
class Workbench:
    """What a build has at hand: the Go toolchain, the environment it runs in, and somebody to tell."""

    go: str
    settings: ToolboxSettings
    tell: Report

    def module(self, name: str, directory: Path) -> Path:
        """Where Go keeps the sources of a module that the go.mod in `directory` pins."""
        argv = [self.go, "mod", "download", "-json", name]
        done = subprocess.run(
            argv,
            cwd=directory,
            env=self.settings.child_environment(GOFLAGS="-mod=readonly"),
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise ToolError(f"`{' '.join(argv[1:])}` failed: {done.stderr.strip() or done.stdout.strip()}")
        return Path(str(json.loads(done.stdout)["Dir"]))

    def build(self, recipe: Recipe, target: Path) -> None:
        """Build the programs of a recipe into `target`."""
        with self._sources(recipe) as sources:
            for packages, output in _builds(recipe, target):
                names = ", ".join(package.rpartition("/cmd/")[2] or package for package in packages)
                self.tell(f"go build: {names}")
                argv = ["build", "-v", "-mod=vendor" if recipe.placeholders else "-mod=readonly", "-buildvcs=false"]
                argv += ["-trimpath", f"-tags={','.join(recipe.tags)}", "-ldflags", recipe.link_flags()]
                self._run([*argv, "-o", output, *packages], sources)

    @contextmanager
    def _sources(self, recipe: Recipe) -> Iterator[Path]:
        if not recipe.placeholders:
            yield recipe.directory
            return
        with tempfile.TemporaryDirectory(prefix="steward-vendored-") as folder:
            copy = Path(folder)
            for source in recipe.directory.iterdir():
                (copy / source.name).write_bytes(source.read_bytes())
            self.tell(f"go mod vendor: {recipe.folder}")
            # `-e`: it misses what is laid in below. What else may be missing, the build says.
            self._run(["mod", "vendor", "-e"], copy)
            for name in recipe.placeholders:
                placeholder = copy / "vendor" / name
                placeholder.parent.mkdir(parents=True, exist_ok=True)
                placeholder.write_text("not built for tests\n")
            yield copy

    def _run(self, arguments: list[str], directory: Path) -> None:
        tail: deque[str] = deque(maxlen=40)
        with subprocess.Popen(
            [self.go, *arguments],
            cwd=directory,
            env=self.settings.child_environment(CGO_ENABLED="0", GOFLAGS=""),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            for count, line in enumerate(process.stderr or (), start=1):
                tail.append(line)
                if count % _PACKAGES_A_LINE == 0:
                    self.tell(f"  {count} packages compiled, at {line.strip()}")
        if process.returncode:
            what = f"`go {arguments[0]}` in {directory} failed with {process.returncode}"
            raise ToolError(f"{what}:\n{''.join(tail)}")


@dataclass(frozen=True, slots=True)
class Toolbox:
    """Programs that are built together, and what else belongs into their folder."""

    name: str
    """Of the folder and the lock in the cache."""
    title: str
    """As in: "building … into"."""
    lasts: str
    """How long a cold build takes, for whoever waits."""
    remedy: str
    """What to do where there is no Go."""
    recipes: tuple[Recipe, ...]
    finish: Callable[[Workbench, Path], None] | None = None
    """Lays further files into the folder."""
    ingredients: Callable[[], bytes] | None = None
    """What `finish` depends on."""

    def shelf(self, settings: ToolboxSettings) -> Shelf:
        """The place in the cache that `build` fills."""
        digest = hashlib.sha256(platform.machine().encode())
        for recipe in self.recipes:
            digest.update(recipe.ingredients())
        if self.ingredients is not None:
            digest.update(self.ingredients())
        return Shelf(settings.cache, self.name, self.title, digest.hexdigest()[:20])

    def build(self, settings: ToolboxSettings, report: Report | None = None) -> Path:
        """The folder of the binaries, built now if the cache does not have them."""
        shelf = self.shelf(settings)
        if shelf.built.complete():
            return shelf.built.directory
        go = shutil.which("go", path=settings.environment.get("PATH"))
        if go is None:
            raise GoMissing(
                f"{self.title} are not in {shelf.built.directory} and there is no `go` on PATH to build them: "
                f"{self.remedy}"
            )
        bench = Workbench(go, settings, report or tell_people)
        shelf.fill(lambda empty: self._make(bench, empty), bench.tell)
        return shelf.built.directory

    def _make(self, bench: Workbench, empty: Path) -> None:
        bench.tell(f"building {self.title} into {empty.parent} (once; {self.lasts})")
        for recipe in self.recipes:
            bench.build(recipe, empty)
        if self.finish is not None:
            self.finish(bench, empty)
        bench.tell(f"{self.title} are built")


def _builds(recipe: Recipe, target: Path) -> Iterator[tuple[list[str], str]]:
    # Packages whose folder is named otherwise than the binary wanted (etcd's is `server/v3`) need a build of their own.
    usual = [program.package for program in recipe.programs if program.package.rpartition("/")[2] == program.name]
    if usual:
        yield usual, f"{target}/"
    for program in recipe.programs:
        if program.package not in usual:
            yield [program.package], str(target / program.name)
