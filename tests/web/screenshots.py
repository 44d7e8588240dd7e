"""Takes the pictures of `docs/screenshots` anew: `python -m tests.web.screenshots`, with `chat` that of a chat."""

from __future__ import annotations

import asyncio
import json
import sys
import tempfile
from pathlib import Path

from tests.conversation.stack import called
from tests.web.chatting import chatting
from tests.web.serving import served
from tests.web.test_browser import HERE, browser, driver, spawned

OUT = HERE.parents[1] / "docs" / "screenshots"
TOKENS_PER_SECOND = 90.0
SECONDS = 180


CART = """\
def total(items, discount=0):
    total = sum(item.price * item.count for item in items)
    return total - total * discount / 100 if discount else 0
"""
READ = called("read_file", '{"path": "cart.py"}')
ANSWER = """\
`total` adds up price times count, and takes a discount in per cent off. It is wrong without a discount: the `else`
belongs to the whole line, so the answer is then 0.

```python
return total - total * discount / 100 if discount else 0
```

`total - total * discount / 100` alone is right for both, since a discount of 0 takes nothing off."""
EDIT = called(
    "apply_edit",
    json.dumps(
        {
            "path": "cart.py",
            "search": "    return total - total * discount / 100 if discount else 0\n",
            "replace": "    return total - total * discount / 100\n",
        }
    ),
)
EARLIER = (("ask", "How are the tests of this project run?"), ("ask", "Which modules import the cart?"))
SPOKEN = {"ask": (READ, ANSWER), "coder": ("", "", EDIT)}


async def taken(script: str, told: dict[str, object]) -> int:
    """Have a browser do what a script says, and say what it said; its exit code."""
    known = {**told, "modules": str(await driver()), "chromium": browser(), "out": str(OUT)}
    command = ("node", str(HERE / script))
    code, said = await spawned(*command, cwd=HERE, seconds=SECONDS, env={"CORRAL_BROWSER": json.dumps(known)})
    sys.stdout.write(said)
    return code


async def talk() -> int:
    """A conversation in which an edit waits for a yes."""
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        root = Path(folder)
        (root / "project").mkdir()
        (root / "project" / "cart.py").write_text(CART)
        async with chatting(root, SPOKEN) as site:
            told = {
                "address": site.address,
                "signin": await site.one_time_address(),
                "folder": str(site.folder),
                "earlier": EARLIER,
                "question": "What does cart.py do, and is there a mistake in it?",
                "wish": "Mend it, please.",
            }
            return await taken("chat_picture.mjs", told)


async def main() -> int:
    with tempfile.TemporaryDirectory(prefix="demo-") as folder:
        async with served(Path(folder), TOKENS_PER_SECOND) as site:
            told = {
                "address": site.address,
                "signin": await site.one_time_address(),
                "repository": str(site.repository),
                "tasks": site.tasks,
            }
            return await taken("screenshots.mjs", told)


if __name__ == "__main__":
    OUT.mkdir(exist_ok=True)
    sys.exit(asyncio.run(talk() if sys.argv[1:] == ["chat"] else main()))
