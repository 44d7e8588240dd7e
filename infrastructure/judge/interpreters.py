"""Which Python a project's tests run on.

Owns the choice: the project's own environment, else the one the user's shell has active, else Corral's own, said
aloud. Found by looking at files; nothing of the project is run to be asked. Blocking.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_OWN = "Corral's own interpreter, since the project has none"


@dataclass(frozen=True, slots=True)
class Interpreter:
    """A Python executable; `note` is for the user, and empty where there is nothing to say."""

    python: Path
    own: bool
    note: str = ""

    def has(self, package: str) -> bool:
        """Whether a package is installed there, as far as its folders show."""
        if self.own:
            return importlib.util.find_spec(package) is not None
        prefix = self.python.parent.parent
        return any(prefix.glob(f"lib/python3*/site-packages/{package}/__init__.py"))


def corrals_own(note: str = _OWN) -> Interpreter:
    """The interpreter Corral itself runs on."""
    return Interpreter(Path(sys.executable), own=True, note=note)


def find_interpreter(folders: tuple[Path, ...], environment: Mapping[str, str] = os.environ) -> Interpreter:
    """Choose for a project.

    Args:
        folders: Where its environment may lie: its folder, and the top of its repository.
        environment: The user's; an active virtual environment counts, unless it is Corral's.
    """
    places = [folder / name for folder in folders for name in (".venv", "venv")]
    active = environment.get("VIRTUAL_ENV", "")
    if active and Path(active).is_absolute() and Path(active).resolve() != Path(sys.prefix).resolve():
        places.append(Path(active))
    for place in places:
        python = place / "bin" / "python"
        if (place / "pyvenv.cfg").is_file() and python.exists():
            return Interpreter(python, own=False)
    return corrals_own()
