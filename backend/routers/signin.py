"""A browser's way in and out."""

from __future__ import annotations

from html import escape
from typing import Annotated, Any
from urllib.parse import parse_qs

from fastapi import APIRouter, Query, Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from backend.dependencies import Door
from backend.problems import answers
from backend.security.errors import NoToken, WrongPassword

router = APIRouter(tags=["sign-in"])

_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
{head}<title>Corral: sign in</title>
<main>
<h1>Corral</h1>
{body}
</main>
</html>
"""
_FORM = """<form method="post" action="/signin">
<p><label>Password <input type="password" name="password" required autofocus autocomplete="current-password"></label>
<button>Sign in</button></p>
</form>"""
_HOW = "<p>Run <code>corral serve</code> in a terminal of this machine, and open the address that it prints.</p>"
_SPENT = "<p><strong>This address was used before, or is older than five minutes.</strong></p>"
_IN = '<p>Signed in. <a href="/">Open the page</a></p>'
# A page that sends itself on, not a redirect: a cookie that is SameSite=Strict would not go along when the address
# was opened from another site, such as a terminal in a browser.
_ON = '<meta http-equiv="refresh" content="0; url=/">\n'
# With no-referrer a browser sends `Origin: null` with the form, which is nobody's.
_HEADERS = {"Referrer-Policy": "same-origin"}

_HTML: dict[int | str, dict[str, Any]] = {200: {"description": "A page.", "content": {"text/html": {}}}}


@router.get("/signin", response_class=HTMLResponse, responses={**_HTML, **answers(422)})
async def sign_in(
    door: Door, code: Annotated[str | None, Query(max_length=200, description="Good once, for five minutes.")] = None
) -> Response:
    """Sign in with a one-time address, or see how to."""
    if code is not None and door.guard.spend(code):
        return _signed_in(door)
    if door.guard.password is not None:
        return _html(_FORM)
    return _html(_HOW) if code is None else _html(_SPENT + _HOW, 401)


@router.post("/signin", response_class=HTMLResponse, responses={**_HTML, **answers(413, 415, 429)})
async def sign_in_with_password(door: Door, request: Request) -> Response:
    """Sign in with the password, where there is one."""
    if door.guard.password is None:
        raise NoToken("this server has no password")
    form = parse_qs((await request.body()).decode("utf-8", "replace"), max_num_fields=8)
    try:
        door.guard.password.check(form.get("password", [""])[0])
    except WrongPassword as error:
        return _html(f"<p><strong>{escape(str(error))}</strong></p>{_FORM}", 401)
    return _signed_in(door)


@router.post("/signout", status_code=303, responses=answers(415))
async def sign_out(door: Door) -> Response:
    """Take the browser's cookie back."""
    return RedirectResponse("/signin", 303, {"Set-Cookie": door.guard.farewell_header()})


def _signed_in(door: Door) -> Response:
    answer = _html(_IN, head=_ON)
    answer.headers["Set-Cookie"] = door.guard.cookie_header()
    return answer


def _html(body: str, status: int = 200, head: str = "") -> HTMLResponse:
    return HTMLResponse(_PAGE.format(head=head, body=body), status, _HEADERS)
