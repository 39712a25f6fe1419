"""Whose code an import gets: one import path, two trees.

A process installs one `Overlay` and is from then on in one of three modes:

    reference   the graded module is the learner's, whatever it imports comes from solutions/
    mine        everything is the learner's: your own stack, all the way down
    solutions   everything comes from solutions/

``replace`` swaps the file behind single modules, whatever the mode: how mutants and stubs are graded.
"""

from __future__ import annotations

import hashlib
import importlib.machinery
import importlib.util
import sys
from collections.abc import Collection, Mapping, Sequence
from importlib.machinery import ModuleSpec, SourceFileLoader
from pathlib import Path
from types import ModuleType

MODES = ("reference", "mine", "solutions")


class FreshLoader(SourceFileLoader):
    """Compiles what stands in the file now, and keeps the hash of it.

    Python's bytecode cache compares size and whole seconds: a sign flipped within the second would go unseen.
    """

    sha256 = ""

    def get_data(self, path: str) -> bytes:
        source = super().get_data(path)
        self.sha256 = hashlib.sha256(source).hexdigest()
        return source

    def path_stats(self, path: str) -> Mapping[str, float]:
        raise OSError(f"{path}: no cached bytecode wanted")


class Overlay:
    """A meta-path finder for the course's own packages; every other import is left alone.

    Args:
        root: the folder that holds the workspace packages and solutions/.
        packages: the top-level names that belong to the course.
        mode: one of `MODES`.
        graded: dotted name of the module under test, e.g. "nn_core.layers.linear".
        replace: dotted name -> the file to load instead.
    """

    def __init__(
        self,
        root: Path,
        packages: Collection[str],
        mode: str,
        graded: str | None = None,
        replace: Mapping[str, Path] | None = None,
    ):
        if mode not in MODES:
            raise ValueError(f"mode must be one of {MODES}, got '{mode}'")
        self.root, self.packages, self.mode, self.graded = Path(root), frozenset(packages), mode, graded
        self.replace = {replaced: Path(file) for replaced, file in (replace or {}).items()}

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name.partition(".")[0] not in self.packages:
            return None
        if name in self.replace:
            return _fresh(name, self.replace[name])
        mine, reference = self.root, self.root / "solutions"
        if name == self.graded:  # this one file: nobody else's, and no package or extension of the same name
            tree = reference if self.mode == "solutions" else mine
            return _fresh(name, tree / f"{name.replace('.', '/')}.py")
        # the other tree second: a helper file that only the learner has
        for tree in (mine, reference) if self.mode == "mine" else (reference, mine):
            folder = tree.joinpath(*name.split(".")[:-1])
            spec = importlib.machinery.PathFinder.find_spec(name, [str(folder)])
            if spec is None:
                continue
            if tree is mine and isinstance(spec.loader, SourceFileLoader):
                spec.loader, spec.cached = FreshLoader(name, str(spec.origin)), None
            return spec
        return None


def _fresh(name: str, file: Path) -> ModuleSpec | None:
    if not file.is_file():  # the next finder would look in the package, which may be the other tree's
        raise ModuleNotFoundError(f"there is no file {file} for {name}", name=name, path=str(file))
    return importlib.util.spec_from_file_location(name, file, loader=FreshLoader(name, str(file)))


def install(overlay: Overlay) -> None:
    """Put ``overlay`` first on the import path. Once a process, before any course package is imported.

    Raises:
        RuntimeError: an overlay is installed, or a course package was imported already.
    """
    taken = [name for name in sys.modules if name.partition(".")[0] in overlay.packages]
    if taken or any(isinstance(finder, Overlay) for finder in sys.meta_path):
        raise RuntimeError(f"a process has one overlay for its whole life; already imported: {taken[:3]}")
    sys.meta_path.insert(0, overlay)
