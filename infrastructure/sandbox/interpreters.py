"""Which folders a Python interpreter needs in order to start inside a sandbox.

Decided by reading links and `pyvenv.cfg` only: the interpreter of somebody's project is never run to be asked.
"""

from collections.abc import Iterable
from pathlib import Path

_SYSTEM = Path("/usr")  # seen at every level anyway


def interpreter_paths(python: Path) -> tuple[Path, ...]:
    """What must be readable for this interpreter to start.

    That is its virtual environment if it is in one, the installation behind it, and every link on the way.
    An installation that shares its prefix with other things of the user's (`~/.local`, or the home folder
    itself) is named by its parts, so the home folder is never shown. Shared libraries outside the prefix and
    /usr are not found; name them in the configuration.

    Args:
        python: Absolute path of the executable, as one would type it (links not resolved).

    Raises:
        FileNotFoundError: There is no such executable.
    """
    found: dict[Path, None] = {}
    for hop in _hops(python):
        venv = _venv_of(hop)
        if venv is not None:
            found.setdefault(venv)
            base = _home_of(venv)
            if base is not None:
                found.update(dict.fromkeys(_installation(base)))
        elif hop.is_symlink():
            found.setdefault(hop)
        else:
            found.update(dict.fromkeys(_installation(hop.parent)))
    return _without_nested(path for path in found if not path.is_relative_to(_SYSTEM))


def _hops(python: Path) -> list[Path]:
    """The executable and each link target on the way to the real file, then the real file itself."""
    real = python.resolve(strict=True)
    hops = [python]
    while hops[-1].is_symlink():
        hops.append(hops[-1].parent / hops[-1].readlink())
    return hops if real in hops else [*hops, real]


def _venv_of(python: Path) -> Path | None:
    return next((d for d in (python.parent, python.parent.parent) if (d / "pyvenv.cfg").is_file()), None)


def _home_of(venv: Path) -> Path | None:
    for line in (venv / "pyvenv.cfg").read_text("utf-8", errors="replace").splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home" and value.strip():
            home = Path(value.strip())
            return home if home.is_absolute() and home.is_dir() else None
    return None


def _installation(bin_dir: Path) -> list[Path]:
    """The prefix a `bin` folder belongs to, or its Python parts where the prefix holds more than Python."""
    if bin_dir.name != "bin":
        return [bin_dir]
    prefix = bin_dir.parent
    home = Path.home()
    shared = {home / ".local", home.resolve() / ".local"}
    if prefix not in shared and not home.is_relative_to(prefix) and not home.resolve().is_relative_to(prefix):
        return [prefix]
    programs = [p for p in bin_dir.glob("python3*") if p.is_file()]
    return [*programs, *prefix.glob("lib/python3*"), *prefix.glob("lib/libpython3*")]


def _without_nested(paths: Iterable[Path]) -> tuple[Path, ...]:
    kept: list[Path] = []
    for path in sorted(paths, key=lambda p: len(p.parts)):
        if not any(path.is_relative_to(other) for other in kept):
            kept.append(path)
    return tuple(kept)
