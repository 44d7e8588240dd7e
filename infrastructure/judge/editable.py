"""Folders of a project from which its own environment imports (an editable install): the copy for tests has its own."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

_HOOKS = ("__editable___*_finder.py", "_editable_impl_*.py")
"""Modules that setuptools and hatchling write where folders alone do not say which packages are installed."""
_MAPPED = re.compile(
    r"""(?P<quote>['"])(?P<name>[\w.]+)(?P=quote)\s*[:,]\s*(?P<other>['"])(?P<path>/[^'"]+)(?P=other)"""
)


def installed_from(project: Path, environment: Path) -> tuple[str, ...]:
    """The folders of a project from which its environment imports, relative to it.

    Args:
        project: Absolute path of the project.
        environment: Absolute path of the environment, the folder that holds `bin` and `lib`.
    """
    repo, found = os.path.realpath(project), dict[str, None]()
    for site in sorted(environment.glob("lib/python3*/site-packages")):
        for folder in (*_lines(site), *_mapped(site)):
            inside = os.path.relpath(os.path.realpath(folder), repo)
            if inside != os.curdir and not inside.startswith(os.pardir):
                found[inside] = None
    return tuple(found)


def _lines(site: Path) -> Iterator[str]:
    for file in sorted(site.glob("*.pth")):
        yield from (line.strip() for line in file.read_text("utf-8", "replace").split("\n") if line.startswith("/"))


def _mapped(site: Path) -> Iterator[str]:
    """What has a package below it under its own name: `calc` at `/p/lib/calc` is `/p/lib`."""
    for file in sorted(each for pattern in _HOOKS for each in site.glob(pattern)):
        for each in _MAPPED.finditer(file.read_text("utf-8", "replace")):
            place = Path(each["path"])
            package = (
                place.parent
                if place.name == "__init__.py"
                else place.with_suffix("")
                if place.suffix == ".py"
                else place
            )
            below = each["name"].split(".")
            if list(package.parts[-len(below) :]) == below:
                yield str(package.parents[len(below) - 1])
