"""A browser's way in and out."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs

from fastapi import APIRouter, Header, Query, Request
from pydantic import BaseModel, ConfigDict
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response

from backend.dependencies import Door
from backend.problems import answers
from backend.security.errors import BadForm, NoToken, SlowForm, WrongPassword
from backend.security.pages import alert, small_page

router = APIRouter(tags=["sign-in"])

FORM_SECONDS = 10.0
MOST_FIELDS = 8
_TITLE = "Sign in"
_FORM = """<form method="post" action="/signin">
<label><span>Password</span>
<input type="password" name="password" required autofocus autocomplete="current-password"></label>
<p class="actions"><button class="yes">Sign in</button></p>
</form>
<p class="dim">It was chosen when this server was started. There are no one-time addresses here.</p>"""
_HOW = """<p>Get a one-time address in a terminal of the machine that runs Corral, and open it in this browser:</p>
<pre><code>corral serve</code></pre>
<p class="dim">While the server runs, the same command prints another address and ends.
Each is good for five minutes and one use.</p>"""
_SPENT = "This address was used before, or is older than five minutes."
_IN = '<p><a href="/">Open the page</a></p>'
# A page that sends itself on, not a redirect: a cookie that is SameSite=Strict would not go along when the address
# was opened from another site, such as a terminal in a browser.
_ON = '<meta http-equiv="refresh" content="0; url=/">\n'
_HTML: dict[int | str, dict[str, Any]] = {200: {"description": "A page.", "content": {"text/html": {}}}}
_EITHER: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "A page; with `Accept: application/json`, what a browser signs in with.",
        "content": {"text/html": {}, "application/json": {"example": {"by": "password"}}},
    }
}


class WayIn(BaseModel):
    """What a browser signs in with."""

    model_config = ConfigDict(frozen=True)

    by: Literal["code", "password"]
    """`code`: a one-time address that `corral serve` prints."""


@router.get("/signin", response_class=HTMLResponse, responses={**_EITHER, **answers(422)})
async def sign_in(
    door: Door,
    request: Request,
    code: Annotated[str | None, Query(max_length=200, description="Good once, for five minutes.")] = None,
    accept: Annotated[str, Header()] = "",
) -> Response:
    """Sign in with a one-time address, or see how to."""
    if "application/json" in accept.lower():  # no browser that opens an address says so
        return JSONResponse(WayIn(by="code" if door.guard.password is None else "password").model_dump())
    if code is not None and door.guard.spend(code):
        return _signed_in(door, request)
    if door.guard.password is not None:
        return small_page(_TITLE, _FORM)
    return small_page(_TITLE, _HOW) if code is None else small_page(_TITLE, alert(_SPENT, "warn") + _HOW, 401)


@router.post("/signin", response_class=HTMLResponse, responses={**_HTML, **answers(408, 413, 415, 422, 429)})
async def sign_in_with_password(door: Door, request: Request) -> Response:
    """Sign in with the password, where there is one."""
    if door.guard.password is None:
        raise NoToken("this server has no password")
    door.guard.password.listen()
    given = await _given(request)
    try:
        door.guard.password.check(given)
    except WrongPassword as error:
        return small_page(_TITLE, alert(str(error)) + _FORM, 401)
    return _signed_in(door, request)


@router.post("/signout", status_code=303, responses=answers(415, 503, 507))
async def sign_out(door: Door, request: Request) -> Response:
    """Take the browser's cookie back, and those of all others."""
    return RedirectResponse("/signin", 303, {"Set-Cookie": await door.guard.sign_out(request.headers)})


async def _given(request: Request) -> str:
    """The password in the form. Whoever sends it is a stranger yet: the guard limits its bytes, this its time.

    Raises:
        SlowForm, BadForm: it is not whole in time, or is another form.
    """
    try:
        async with asyncio.timeout(FORM_SECONDS):
            body = await request.body()
    except TimeoutError:
        raise SlowForm from None
    try:
        form = parse_qs(body.decode("utf-8", "replace"), max_num_fields=MOST_FIELDS)
    except ValueError:
        raise BadForm from None
    return form.get("password", [""])[0]


def _signed_in(door: Door, request: Request) -> Response:
    answer = small_page("Signed in", _IN, head=_ON)
    answer.headers["Set-Cookie"] = door.guard.cookie_header(request.headers)
    return answer
