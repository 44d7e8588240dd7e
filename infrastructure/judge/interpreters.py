"""Which Python a project's tests run on.

Owns the choice: the environment of the program that the test command names, else the project's own, else the one the
user's shell has active, else Corral's own, said aloud. Found by looking at files; nothing of the project is run to be
asked. Blocking.
"""

import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

_FIRST_LINE = 512
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


def known_interpreter(python: Path) -> Interpreter:
    """The interpreter of an earlier plan."""
    return Interpreter(python, own=python == Path(sys.executable))


def environment_of(program: Path) -> Path | None:
    """The virtual environment whose `bin` holds a program, or would."""
    place = program.parent.parent
    return place if program.parent.name == "bin" and (place / "pyvenv.cfg").is_file() else None


def interpreter_of(program: Path) -> Interpreter | None:
    """The Python that a program is, or that starts it; None where that cannot be told.

    A program of an environment belongs to the environment's Python, wherever a link to it lies; another one to the
    Python that its first line names.
    """
    if program.name.startswith("python"):
        return Interpreter(program, own=False)
    for place in (program, program.resolve()):
        python = place.parent / "python"
        if environment_of(place) is not None and python.exists():
            return Interpreter(python, own=False)
    with program.open("rb") as file:
        first = file.readline(_FIRST_LINE).decode("utf-8", "replace").strip()
    named = Path(first.removeprefix("#!").strip())
    if first.startswith("#!/") and named.name.startswith("python") and named.is_file():
        return Interpreter(named, own=False)
    return None
