"""The small pages that a stranger may see: the sign-in, and what went wrong.

Owns their frame. It is drawn with the files that are open to everybody (`SIGN_IN_FILES`) and has no inline style, which
the policy of every answer forbids.
"""

from __future__ import annotations

from html import escape

from starlette.responses import HTMLResponse

SIGN_IN_FILES = frozenset({"/static/css/page.css", "/static/favicon.svg"})
"""What the pages are drawn with. They hold nothing but looks."""

_FRAME = """<!doctype html>
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
# With no-referrer a browser sends `Origin: null` with a form, which is nobody's.
_HEADERS = {"Referrer-Policy": "same-origin"}


def small_page(title: str, body: str, status: int = 200, *, head: str = "") -> HTMLResponse:
    """A page in the frame. Title, body and head are HTML: what came from elsewhere is escaped by the caller."""
    return HTMLResponse(_FRAME.format(head=head, title=title, body=body), status, _HEADERS)


def alert(text: str, tone: str = "bad") -> str:
    """A line that says what is wrong, as HTML."""
    return f'<p role="alert" data-tone="{tone}"><strong>{escape(text)}</strong></p>\n'


def wants_page(accept: str) -> bool:
    """Whether an `Accept` header is a browser's that opens an address; a program names what it reads, or nothing."""
    return "text/html" in accept and "json" not in accept
