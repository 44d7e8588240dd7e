"""The page and its files.

Owns which files of `backend/web` are served, and as what. They are listed once; a name that is not in the list does not
exist, so no name can lead out of the folder. The types are our own: a machine's registry may call a script plain text.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, RedirectResponse, Response

from backend.problems import NoPage

TYPES: Mapping[str, str] = MappingProxyType(
    {
        ".css": "text/css; charset=utf-8",
        ".html": "text/html; charset=utf-8",
        ".ico": "image/x-icon",
        ".js": "text/javascript; charset=utf-8",
        ".json": "application/json",
        ".png": "image/png",
        ".svg": "image/svg+xml",
        ".txt": "text/plain; charset=utf-8",
        ".webmanifest": "application/manifest+json",
        ".woff2": "font/woff2",
    }
)
INDEX = "index.html"
_REVALIDATE = {"Cache-Control": "no-cache"}

router = APIRouter(include_in_schema=False)


def page_files() -> Mapping[str, Path]:
    """The files of the page by their names under `/static/`. Touches the disk: not on a loop."""
    root = Path(str(files("backend").joinpath("web")))
    found = {path.relative_to(root).as_posix(): path for path in root.rglob("*") if path.suffix in TYPES}
    return MappingProxyType({name: path for name, path in found.items() if path.is_file()})


@router.get("/")
async def index(request: Request) -> Response:
    """The page."""
    return _file(request, INDEX)


@router.get("/favicon.ico")
async def favicon() -> Response:
    """Browsers ask for it unasked."""
    return RedirectResponse("/static/favicon.svg")


@router.get("/static/{name:path}")
async def static(request: Request, name: str) -> Response:
    """A file of the page."""
    return _file(request, name)


def _file(request: Request, name: str) -> Response:
    listed: Mapping[str, Path] = request.app.state.page
    path = listed.get(name)
    if path is None:
        raise NoPage(f"there is no file {name!r}")
    return FileResponse(path, media_type=TYPES[path.suffix], headers=_REVALIDATE)
