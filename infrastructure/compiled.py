"""Whether the pool's core runs compiled.

Owns the choice between the two forms of the modules that every call runs through: Python source, which is what counts
and works everywhere, and what mypyc made of it (`make compiled`; `hatch_build.py` has the list). The compiled form is
used only while it is of exactly these sources and can be loaded: an edited one brings all of them back to Python.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import EXTENSION_SUFFIXES
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

VARIABLE = "CORRAL_CORE"
"""`interpreted`: never compiled. `compiled`: nothing else will do. A folder: so is that one. Unset, it is
compiled where that is there and fits."""
FOLDER = "_compiled"
"""Beside this module, where `make compiled` and a wheel put it."""
MANIFEST = "manifest.json"


class Manifest(NamedTuple):
    """What was compiled."""

    suffix: str
    """Of its files, by which an interpreter knows its own."""
    library: str
    """The module that holds the code; those of `modules` are its faces."""
    modules: dict[str, str]
    """By name, the SHA-256 of the source."""


class Core(NamedTuple):
    """The form that is in use in this process."""

    compiled: bool
    said: str
    """How much is compiled; else why nothing is."""


class WrongCore(ImportError):
    """The environment asks for a compiled core, and there is none that fits."""


class _Finder(MetaPathFinder):
    """Finds the compiled modules, and no other."""

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        suffix = manifest.suffix
        files = {name: folder.joinpath(*name.split(".")) for name in manifest.modules}
        files[manifest.library] = folder / manifest.library
        self._files = {name: file.with_name(file.name + suffix) for name, file in files.items()}
        self._library = manifest.library

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Where the module is, if it is one of them."""
        file = self._files.get(fullname)
        return None if file is None else spec_from_file_location(fullname, file)

    def flaw(self) -> str:
        """Why the modules cannot be loaded here; empty where they can. Their library is in memory then."""
        try:
            for file in self._files.values():
                file.stat()
            spec = self.find_spec(self._library, None)
            assert spec is not None
            module_from_spec(spec)
        except (OSError, ImportError) as error:
            return f"it cannot be loaded: {error}"
        return ""


def choose(environ: Mapping[str, str], package: Path) -> tuple[Core, MetaPathFinder | None]:
    """The form to use, with what finds its modules where that is the compiled one.

    Args:
        environ: the environment; see `VARIABLE`.
        package: the folder of this package's sources.

    Raises:
        WrongCore: a compiled form is asked for, and there is none that fits.
    """
    wanted = environ.get(VARIABLE, "").strip()
    if wanted == "interpreted":
        return Core(False, f"{VARIABLE}=interpreted"), None
    folder = Path(wanted).absolute() if wanted not in ("", "compiled") else package / FOLDER
    try:
        manifest = _read(folder / MANIFEST)
    except FileNotFoundError:
        unfit = "it was not compiled"
    except (OSError, ValueError, TypeError) as error:
        unfit = f"its manifest cannot be read: {error}"
    else:
        finder = _Finder(folder, manifest)
        unfit = _unfit(manifest, package) or finder.flaw()
        if not unfit:
            return Core(True, f"{len(manifest.modules)} modules"), finder
    if wanted:
        raise WrongCore(f"{VARIABLE}={wanted}, but {unfit} ({folder}): `make compiled` builds it")
    return Core(False, unfit), None


def _read(file: Path) -> Manifest:
    """The manifest.

    Raises:
        OSError: there is none that can be read.
        ValueError: it is no JSON.
        TypeError: it is something else than a manifest.
    """
    manifest = Manifest(**json.loads(file.read_bytes()))
    if [type(field) for field in manifest] != [str, str, dict]:
        raise TypeError("a field has the wrong type")
    return manifest


def _unfit(manifest: Manifest, package: Path) -> str:
    """Why what was compiled is not of these sources, or not for this interpreter; empty where it is."""
    if manifest.suffix not in EXTENSION_SUFFIXES:
        return f"it was compiled for another interpreter ({manifest.suffix})"
    for name, digest in manifest.modules.items():
        source = package.parent.joinpath(*name.split(".")).with_suffix(".py")
        if sha256(source) != digest:
            return f"{name} has changed since it was compiled"
    return ""


def sha256(source: Path) -> str:
    """The digest of a source; empty where none can be read."""
    try:
        return hashlib.sha256(source.read_bytes()).hexdigest()
    except OSError:
        return ""


core, _finder = choose(os.environ, Path(__file__).parent)
"""Decided once: a module that is imported stays as it is."""
if _finder is not None:
    sys.meta_path.insert(0, _finder)
