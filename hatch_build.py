"""Compiles the pool's core with mypyc: for a checkout by `make compiled`, into a wheel where CORRAL_COMPILE=1 says so.

Owns the build. Nothing needs it: without it every module is plain Python (`infrastructure/compiled.py` chooses). Which
modules are compiled is said in pyproject.toml. mypy sees Corral's own code only, so that the result does not hang on
which packages are installed.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import shutil
import sysconfig
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
LIBRARY = "corral_core"
FOLDER = "infrastructure/_compiled"
NEEDS = ["mypy[mypyc]>=2.4"]


class CompiledCore(BuildHookInterface[Any]):
    """Hatch's hook. It does nothing for an editable install: that runs from its sources."""

    def dependencies(self) -> list[str]:
        """What the build needs besides."""
        return NEEDS if self._wanted else []

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Put the compiled modules into the wheel, which is then one for this machine and interpreter."""
        if not self._wanted or version == "editable":
            return
        folder = Path(self.directory) / "compiled"
        build(folder)
        build_data["force_include"][str(folder)] = FOLDER
        build_data["pure_python"], build_data["infer_tag"] = False, True

    @property
    def _wanted(self) -> bool:
        return os.environ.get("CORRAL_COMPILE") == "1"


def build(folder: Path, optimize: str = "2") -> None:
    """Compile into a folder, which is made anew; it is there only when all of it is.

    Args:
        folder: where the modules and their manifest go.
        optimize: gcc's level.

    Raises:
        SystemExit: mypy found a mistake.
        Exception: of setuptools, where the C compiler fails or there is none.
    """
    from mypyc.build import mypycify  # noqa: PLC0415 - not there where nothing is compiled
    from setuptools import Distribution  # noqa: PLC0415

    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    sources = sorted(pyproject["tool"]["hatch"]["build"]["targets"]["wheel"]["hooks"]["custom"]["compiled"])
    digests = {_module(source): hashlib.sha256((ROOT / source).read_bytes()).hexdigest() for source in sources}
    with tempfile.TemporaryDirectory() as scratch:
        os.chdir(ROOT)
        extensions = mypycify(
            [
                *("--python-version", "3.11", "--follow-imports", "silent", "--ignore-missing-imports"),
                *("--no-site-packages", "--explicit-package-bases", "--cache-dir", f"{scratch}/mypy"),
                *sources,
            ],
            opt_level=optimize,
            debug_level="0",
            target_dir=f"{scratch}/c",
            group_name=LIBRARY,
        )
        command = Distribution({"name": LIBRARY, "ext_modules": extensions}).get_command_obj("build_ext")
        command.build_lib, command.build_temp = f"{scratch}/lib", f"{scratch}/o"
        command.ensure_finalized()
        command.run()
        manifest = {
            "suffix": sysconfig.get_config_var("EXT_SUFFIX"),
            "library": f"{LIBRARY}__mypyc",
            "modules": digests,
        }
        Path(scratch, "lib", "manifest.json").write_text(json.dumps(manifest, indent=1))
        put(Path(scratch, "lib"), folder)


def put(made: Path, folder: Path) -> None:
    """Replace a folder by a copy of what was made, at a stroke: whatever stops the copying leaves the old one whole."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Beside it, since only what is on the same file system is renamed at a stroke.
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}-") as beside:
        new = shutil.copytree(made, Path(beside, "new"))
        if folder.exists():
            folder.rename(Path(beside, "old"))
        new.rename(folder)


def _module(source: str) -> str:
    return source.removesuffix(".py").replace("/", ".")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, default=ROOT / FOLDER, help="the folder (default: where it is found)")
    parser.add_argument("--optimize", default="2", help="the C compiler's level (default: 2)")
    given = parser.parse_args()
    build(given.into, given.optimize)
