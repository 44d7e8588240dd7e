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

# Only files that are open to everybody (`SIGN_IN_FILES`), and no inline style: the policy of every answer forbids it.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{head}<title>Corral: {title}</title>
<link rel="icon" href="/static/favicon.svg" type="image/svg+xml">
<link rel="stylesheet" href="/static/css/page.css">
</head>
<body data-view="signedout">
<header class="bar">
<span class="brand"><img src="/static/favicon.svg" alt="" width="22" height="22">Corral</span>
</header>
<main>
<article class="card signedout">
<h1>{title}</h1>
{body}
</article>
</main>
</body>
</html>
"""
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
_SPENT = """<p role="alert" data-tone="warn"><strong>This address was used before, or is older than five minutes.
</strong></p>
"""
_WRONG = '<p role="alert" data-tone="bad"><strong>{}</strong></p>\n'
_IN = '<p><a href="/">Open the page</a></p>'
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
        return _html(_WRONG.format(escape(str(error))) + _FORM, 401)
    return _signed_in(door)


@router.post("/signout", status_code=303, responses=answers(415))
async def sign_out(door: Door) -> Response:
    """Take the browser's cookie back."""
    return RedirectResponse("/signin", 303, {"Set-Cookie": door.guard.farewell_header()})


def _signed_in(door: Door) -> Response:
    answer = _html(_IN, title="Signed in", head=_ON)
    answer.headers["Set-Cookie"] = door.guard.cookie_header()
    return answer


def _html(body: str, status: int = 200, *, title: str = "Sign in", head: str = "") -> HTMLResponse:
    return HTMLResponse(_PAGE.format(head=head, title=title, body=body), status, _HEADERS)
