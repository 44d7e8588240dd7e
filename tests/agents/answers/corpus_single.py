"""Cases that stand alone, each written out by hand: tricks, near misses, and forms that only one file can be given in."""

# ruff: noqa: E501  (a case reads best as one line)
from __future__ import annotations

S, D, R = "<<<<<<< SEARCH", "=======", ">>>>>>> REPLACE"

TWINS = """def load_users(path):
    with open(path) as file:
        rows = file.read().split(",")
    count = len(rows)
    return rows[:100]


def load_items(path):
    with open(path) as file:
        rows = file.read().split(";")
    count = len(rows)
    return rows[:100]
"""
STEPS = """def first(x):
    a = x + 1
    b = a * 2
    return a


def second(x):
    c = x + 3
    d = c * 4
    return d
"""
README = """# Tool

Install:

```sh
make install
```

Use:

```sh
tool run
```
"""
CONFIG = """const config = {
  host: 'localhost',
  port: 8080,
  debug: false,
};

module.exports = config;
"""
NOTES = """def tell(name):
    # greet once
    text = 'Hello ' + name
    print(text)
    # keep it
    return text
"""


def edit(path: str, search: str, new: str) -> str:
    return f"File: `{path}`\n```\n{S}\n{search}{D}\n{new}{R}\n```\n"


def ok(
    name: str, files: dict[str, str], answer: str, result: dict[str, str | None], **more: object
) -> dict[str, object]:
    return {"name": name, "files": files, "answer": answer, "result": result, **more}


def no(name: str, files: dict[str, str], answer: str, word: str, **more: object) -> dict[str, object]:
    return {"name": name, "files": files, "answer": answer, "word": word, **more}


TWO = {"a.py": TWINS}
ONE = {"a.py": STEPS}
DIFF_USERS = (
    "@@ -10,5 +10,5 @@ def load_items(path):\n     count = len(rows)\n-    return rows[:100]\n+    return rows[:50]\n"
)

SINGLE: tuple[dict[str, object], ...] = (
    # ---- which of two alike
    no("twins/same-lines", TWO, edit("a.py", "    count = len(rows)\n    return rows[:100]\n", "    return rows\n"), "2 places"),
    no("twins/diff-names-the-function-only-in-its-head", TWO, f"```diff\n--- a/a.py\n+++ b/a.py\n{DIFF_USERS}```\n", "2 places"),
    ok(
        "twins/other-text-tells-them-apart",
        TWO,
        edit("a.py", '        rows = file.read().split(";")\n    count = len(rows)\n    return rows[:100]\n', '        rows = file.read().split(";")\n    count = len(rows)\n    return rows[:50]\n'),
        {"a.py": TWINS[: TWINS.rindex("100")] + "50]\n"},
    ),
    no(
        "twins/a-text-that-neither-has",
        TWO,
        edit("a.py", '        rows = file.read().split("|")\n    count = len(rows)\n    return rows[:100]\n', '        rows = file.read().split("|")\n    count = len(rows)\n    return rows[:50]\n'),
        "not in the file",
    ),
    no(
        "twins/a-name-between-both",
        TWO,
        edit("a.py", 'def load_user(path):\n    with open(path) as file:\n        rows = file.read().split(",")\n', 'def load_user(path, limit):\n    with open(path) as file:\n        rows = file.read().split(",")\n'),
        "Did you mean",
    ),
    no(
        "twins/kept-line-with-another-number",
        TWO,
        edit("a.py", '        rows = file.read().split(",")\n    count = len(rows)\n    return rows[:10]\n', '        rows = file.read().split(",")\n    size = len(rows)\n    return rows[:10]\n'),
        "not in the file",
    ),
    # ---- dots
    ok(
        "dots/both-sides",
        ONE,
        edit("a.py", "def second(x):\n    ...\n    return d\n", "def second(x, y):\n    ...\n    return d + y\n"),
        {"a.py": STEPS.replace("second(x)", "second(x, y)").replace("return d", "return d + y")},
    ),
    ok(
        "dots/in-a-comment",
        ONE,
        edit("a.py", "def second(x):\n    # ...\n    return d\n", "def second(x, y):\n    # ...\n    return d\n"),
        {"a.py": STEPS.replace("second(x)", "second(x, y)")},
    ),
    ok(
        "dots/with-words",
        {"c.js": CONFIG},
        edit("c.js", "const config = {\n  // ... existing code ...\n  debug: false,\n", "const config = {\n  // ... existing code ...\n  debug: true,\n"),
        {"c.js": CONFIG.replace("false", "true")},
    ),
    ok(
        "dots/outdented",
        ONE,
        edit("a.py", "c = x + 3\n...\nreturn d\n", "c = x + 5\n...\nreturn d\n"),
        {"a.py": STEPS.replace("x + 3", "x + 5")},
    ),
    no(
        "dots/two-of-them-over-functions",
        ONE,
        edit("a.py", "def first(x):\n...\n    b = a * 2\n...\n    c = x + 3\n", "def first(x):\n...\n    b = a * 5\n...\n    c = x + 3\n"),
        "another block",
    ),
    no("dots/other-function", ONE, edit("a.py", "def first(x):\n    ...\n    return d\n", "def first(x):\n    ...\n    return d + 1\n"), "another block"),
    no("dots/other-order", ONE, edit("a.py", "def second(x):\n    ...\n    b = a * 2\n", "def second(x):\n    ...\n    b = a * 3\n"), "order"),
    no("dots/part-twice", {"a.py": TWINS}, edit("a.py", "def load_users(path):\n    ...\n    return rows[:100]\n", "def load_users(path):\n    ...\n    return rows\n"), "2 places"),
    no("dots/replacement-without", ONE, edit("a.py", "def second(x):\n    ...\n    return d\n", "def second(x):\n    return x\n"), "leaves lines out"),
    no("dots/lines-beside-them", ONE, edit("a.py", "def second(x):\n    ...\n", "def second(x):\n    ...\n    e = 1\n"), "beside dots"),
    ok(
        "dots/that-are-code",
        {"p.py": "class P:\n    def run(self): ...\n\n    def stop(self):\n        ...\n"},
        edit("p.py", "    def stop(self):\n        ...\n", "    def stop(self):\n        return 1\n"),
        {"p.py": "class P:\n    def run(self): ...\n\n    def stop(self):\n        return 1\n"},
    ),
    # ---- what does not matter, and what does
    ok(
        "loose/quotes-in-kept-lines",
        {"n.py": NOTES},
        edit("n.py", '    text = "Hello " + name\n    print(text)\n    return text\n', '    text = "Hello " + name\n    print(text)\n    return text.strip()\n'),
        {"n.py": NOTES.replace("return text", "return text.strip()")},
    ),
    ok(
        "loose/comment-in-the-middle-stays",
        {"n.py": NOTES},
        edit("n.py", "def tell(name):\n    text = 'Hello ' + name\n    print(text)\n", "def tell(name):\n    text = 'Hello ' + name\n    print(text, flush=True)\n"),
        {"n.py": NOTES.replace("print(text)", "print(text, flush=True)")},
    ),
    ok(
        "loose/line-added-beside-an-unseen-comment",
        {"n.py": NOTES},
        edit("n.py", "    text = 'Hello ' + name\n    print(text)\n    return text\n", "    text = 'Hello ' + name\n    print(text)\n    count(text)\n    return text\n"),
        {"n.py": NOTES.replace("    print(text)\n", "    print(text)\n    count(text)\n")},
    ),
    no(
        "loose/unseen-comment-would-be-lost",
        {"n.py": NOTES},
        edit("n.py", "    text = 'Hello ' + name\n    print(text)\n    return text\n", "    return name\n"),
        "not in the file",
    ),
    no(
        "loose/comment-of-a-changed-line-would-be-lost",
        {"n.py": "def f(x):\n    y = x + 1  # off by one on purpose\n    z = y * 2\n    return z\n"},
        edit("n.py", "def f(x):\n    y = x + 1\n    z = y * 2\n    return z\n", "def f(x):\n    y = x + 2\n    z = y * 2\n    return z\n"),
        "Did you mean",
    ),
    ok(
        "loose/comment-of-a-kept-line",
        {"n.py": "def f(x):\n    y = x + 1  # off by one on purpose\n    z = y * 2\n    return z\n"},
        edit("n.py", "def f(x):\n    y = x + 1\n    z = y * 2\n    return z\n", "def f(x):\n    y = x + 1\n    z = y * 3\n    return z\n"),
        {"n.py": "def f(x):\n    y = x + 1  # off by one on purpose\n    z = y * 3\n    return z\n"},
    ),
    ok(
        "loose/comma-of-a-kept-line",
        {"c.js": CONFIG},
        edit("c.js", "  host: 'localhost',\n  port: 8080,\n  debug: false\n", "  host: '0.0.0.0',\n  port: 8080,\n  debug: false\n"),
        {"c.js": CONFIG.replace("localhost", "0.0.0.0")},
    ),
    no(
        "loose/comma-of-a-changed-line-would-be-lost",
        {"c.js": CONFIG},
        edit("c.js", "  host: 'localhost',\n  port: 8080,\n  debug: false\n", "  host: 'localhost',\n  port: 8080,\n  debug: true\n"),
        "Did you mean",
    ),
    ok(
        "loose/slip-in-the-text-of-a-kept-line",
        {"n.py": 'def f(x):\n    log("the value of the counter is now reset")\n    y = x + 1\n    return y\n'},
        edit("n.py", 'def f(x):\n    log("the value of the counter is now rest")\n    y = x + 1\n    return y\n', 'def f(x):\n    log("the value of the counter is now rest")\n    y = x + 2\n    return y\n'),
        {"n.py": 'def f(x):\n    log("the value of the counter is now reset")\n    y = x + 2\n    return y\n'},
    ),
    no(
        "loose/slip-in-the-text-of-a-changed-line",
        {"n.py": 'def f(x):\n    log("the value of the counter is now reset")\n    y = x + 1\n    return y\n'},
        edit("n.py", 'def f(x):\n    log("the value of the counter is now rest")\n    y = x + 1\n    return y\n', 'def f(x):\n    log("counter")\n    y = x + 1\n    return y\n'),
        "Did you mean",
    ),
    no(
        "loose/number-in-a-text",
        {"n.py": 'def f(x):\n    log("the counter was reset at step 12 of 40")\n    y = x + 1\n    return y\n'},
        edit("n.py", 'def f(x):\n    log("the counter was reset at step 13 of 40")\n    y = x + 1\n    return y\n', 'def f(x):\n    log("the counter was reset at step 13 of 40")\n    y = x + 2\n    return y\n'),
        "Did you mean",
    ),
    no("loose/too-short", {"n.py": NOTES}, edit("n.py", '    text = "Hello " + name\n', '    text = "Hi " + name\n'), "Did you mean"),
    no(
        "loose/sign-changed",
        ONE,
        edit("a.py", "    a = x - 1\n    b = a * 2\n    return a\n", "    a = x - 1\n    b = a * 2\n    return b\n"),
        "Did you mean",
    ),
    no(
        "loose/blank-lines-and-a-name",
        ONE,
        edit("a.py", "    a = x + 1\n\n    b = e * 2\n\n    return a\n", "    a = x + 1\n    b = e * 2\n    return b\n"),
        "not in the file",
    ),
    ok(
        "loose/blank-lines",
        ONE,
        edit("a.py", "    a = x + 1\n\n    b = a * 2\n\n    return a\n", "    a = x + 1\n\n    b = a * 2\n\n    return b\n"),
        {"a.py": STEPS.replace("return a", "return b")},
    ),
    no(
        "loose/indentation-that-differs",
        ONE,
        edit("a.py", "  a = x + 1\n    b = a * 2\n   return a\n", "  a = x + 1\n    b = a * 2\n   return b\n"),
        "not in the file",
    ),
    ok(
        "look-alikes/hard-blank-in-the-file",
        {"t.md": "# Title\n\nin\u00a0current use\n"},
        edit("t.md", "in current use\n", "in daily use\n"),
        {"t.md": "# Title\n\nin daily use\n"},
    ),
    ok(
        "look-alikes/curved-quotes-in-the-file",
        {"t.md": "He said “yes” — twice.\nThen he left.\n"},
        edit("t.md", 'He said "yes" — twice.\nThen he left.\n', 'He said "yes" — twice.\nThen he stayed.\n'),
        {"t.md": "He said “yes” — twice.\nThen he stayed.\n"},
    ),
    no(
        "look-alikes/half-curved",
        {"n.py": 'a = "x"\nb = "y"\n'},
        edit("n.py", 'a = “x”\nb = "y"\n', 'a = “z”\nb = "y"\n'),
        "not in the file",
    ),
    ok(
        "look-alikes/curved-search-of-straight-quotes",
        {"n.py": 'a = "x"\nb = "y"\n'},
        edit("n.py", "a = “x”\n", "a = “z”\n"),
        {"n.py": 'a = "z"\nb = "y"\n'},
    ),
    no(
        "escapes/half-escaped",
        {"n.js": "if (a < b && c > d) {\n  run();\n}\n"},
        edit("n.js", "if (a &lt; b && c > d) {\n", "if (a &lt;= b && c > d) {\n"),
        "not in the file",
    ),
    ok(
        "escapes/that-the-file-has",
        {"n.html": "<p>a &lt; b</p>\n<p>x</p>\n"},
        edit("n.html", "<p>a &lt; b</p>\n", "<p>a &lt; b &amp; c</p>\n"),
        {"n.html": "<p>a &lt; b &amp; c</p>\n<p>x</p>\n"},
    ),
    ok(
        "escapes/whole-file",
        {"n.py": "def f(a, b):\n    return a < b\n"},
        "File: `n.py`\n```python\ndef f(a, b):\n    return a &lt;= b\n```\n",
        {"n.py": "def f(a, b):\n    return a <= b\n"},
    ),
    ok(
        "escapes/whole-file-that-means-them",
        {"n.py": "def f(a):\n    return a.replace('<', '&lt;')\n"},
        "File: `n.py`\n```python\ndef f(a):\n    return a.replace('<', '&lt;').replace('>', '&gt;')\n```\n",
        {"n.py": "def f(a):\n    return a.replace('<', '&lt;').replace('>', '&gt;')\n"},
    ),
    ok("dollars/stay", {"s.sh": 'echo "$1"\necho done\n'}, edit("s.sh", "echo done\n", "echo $$ $& $1 '$`'\n"), {"s.sh": 'echo "$1"\necho $$ $& $1 \'$`\'\n'}),
    # ---- deletion
    ok("delete/line", {"old.py": "x = 1\n", "a.py": "y = 2\n"}, "Delete: `old.py`\n", {"old.py": None}),
    ok("delete/bold", {"src/old.py": "x = 1\n"}, "**Delete file:** `src/old.py`\n", {"src/old.py": None}),
    ok("delete/bullet", {"src/old.py": "x = 1\n"}, "- Delete: src/old.py\n", {"src/old.py": None}),
    ok("delete/in-fence", {"src/old.py": "x = 1\n"}, "```\nDelete: `src/old.py`\n```\n", {"src/old.py": None}),
    ok("delete/patch-section", {"src/old.py": "x = 1\n"}, "```\n*** Begin Patch\n*** Delete File: src/old.py\n*** End Patch\n```\n", {"src/old.py": None}),
    ok("delete/patch-line", {"src/old.py": "x = 1\n"}, "*** Delete File: src/old.py\n", {"src/old.py": None}),
    ok("delete/diff", {"src/old.py": "x = 1\n"}, "```diff\n--- a/src/old.py\n+++ /dev/null\n@@ -1 +0,0 @@\n-x = 1\n```\n", {"src/old.py": None}),
    ok("delete/russian", {"src/old.py": "x = 1\n"}, "Удалить: `src/old.py`\n", {"src/old.py": None}),
    ok("delete/chinese", {"src/old.py": "x = 1\n"}, "删除：`src/old.py`\n", {"src/old.py": None}),
    ok(
        "delete/and-move",
        {"old.py": "x = 1\n"},
        "File: `new.py`\n```python\nx = 1\n```\n\nDelete: `old.py`\n",
        {"old.py": None, "new.py": "x = 1\n"},
    ),
    ok(
        "delete/then-made-again",
        {"old.py": "x = 1\n"},
        "Delete: `old.py`\n\nFile: `old.py`\n```python\nx = 2\n```\n",
        {"old.py": "x = 2\n"},
    ),
    no("delete/what-is-not-there", {"a.py": "x = 1\n"}, "Delete: `old.py`\n", "not there"),
    no("delete/outside", {"a.py": "x = 1\n"}, "Delete: `../old.py`\n", "the path"),
    no("delete/in-a-sentence", {"old.py": "x = 1\n"}, "You may delete: `old.py` if you like.\n", "no fenced block"),
    no("delete/no-path", {"old.py": "x = 1\n"}, "Delete: the old function\n", "no fenced block"),
    no("delete/git-folder", {"a.py": "x = 1\n"}, "Delete: `.git/config.py`\n", "git"),
    no("delete/by-an-empty-file", {"old.py": "x = 1\n"}, "File: `old.py`\n```python\n```\n", "Delete: `old.py`"),
    no("delete/emptied-package-file", {"p/__init__.py": "x = 1\n"}, "File: `p/__init__.py`\n```python\n```\n", "given empty"),
    ok("delete/package-file-without-text", {"p/__init__.py": "\n"}, "File: `p/__init__.py`\n```python\n```\n", {"p/__init__.py": ""}),
    # ---- new files
    ok("new/whole", {"a.py": "x = 1\n"}, "File: `b/c.py`\n```python\ny = 2\n```\n", {"b/c.py": "y = 2\n"}),
    ok("new/by-empty-search", {}, "File: `c.py`\n```\n<<<<<<< SEARCH\n=======\ny = 2\n>>>>>>> REPLACE\n```\n", {"c.py": "y = 2\n"}),
    ok("new/by-diff", {}, "```diff\n--- /dev/null\n+++ b/src/c.py\n@@ -0,0 +1,2 @@\n+y = 2\n+z = 3\n```\n", {"src/c.py": "y = 2\nz = 3\n"}),
    ok("new/by-patch-section", {}, "```\n*** Begin Patch\n*** Add File: src/c.py\n+y = 2\n+z = 3\n*** End Patch\n```\n", {"src/c.py": "y = 2\nz = 3\n"}),
    ok("new/path-on-first-line", {}, "```python\nsrc/c.py\ny = 2\n```\n", {"src/c.py": "y = 2\n"}),
    ok("new/created", {}, "Creating new file `src/c.py`\n\n```python\ny = 2\n```\n", {"src/c.py": "y = 2\n"}),
    ok("new/ellipsis-comment-in-a-new-file", {}, "File: `c.py`\n```python\ndef f():\n    # ...\n    pass\n```\n", {"c.py": "def f():\n    # ...\n    pass\n"}),
    no("new/below-a-file", {"a.py": "x\n", "b.py": "y\n"}, "File: `a.py/c.py`\n```python\ny = 2\n```\n", "cannot be a file"),
    # ---- names of files
    ok(
        "names/unchanged-file-is-passed-over",
        {"a.py": "x = 1\n", "b.py": "y = 1\n"},
        "`a.py` (no changes needed)\n```python\nx = 1  # ...\n```\n`b.py`\n```python\ny = 2\n```\n",
        {"b.py": "y = 2\n"},
    ),
    ok("names/default", {"a.py": "x = 1\n"}, "```python\nx = 2\n```\n", {"a.py": "x = 2\n"}, default="a.py"),
    ok("names/default-edit", {"a.py": "x = 1\n"}, f"```\n{S}\nx = 1\n{D}\nx = 2\n{R}\n```\n", {"a.py": "x = 2\n"}, default="a.py"),
    ok("names/default-diff", {"a.py": "x = 1\n"}, "```diff\n-x = 1\n+x = 2\n```\n", {"a.py": "x = 2\n"}, default="a.py"),
    no("names/default-of-two", {"a.py": "x = 1\n"}, "```python\nx = 2\n```\nor\n```python\nx = 3\n```\n", "names its file", default="a.py"),
    no("names/two-of-that-name", {"a/u.py": "x = 1\n", "b/u.py": "x = 1\n"}, edit("u.py", "x = 1\n", "x = 2\n"), "Did you mean"),
    no("names/file-of-the-system", {"passwd": "x\n"}, "File: `/etc/passwd`\n```\nroot\n```\n", "absolute"),
    no("names/device", {"a.py": "x\n"}, "File: `con.py`\n```\nx\n```\n", "device"),
    no("names/hidden-turn", {"a.py": "x\n"}, "File: `a\u202eyp.py`\n```\nx\n```\n", "invisible"),
    no("names/listing-is-no-file", {"src/a.py": "x\n"}, "```\nsrc/a.py\nsrc/b.py\n```\n", "names its file"),
    no("names/terminal-is-no-file", {"src/a.py": "x\n"}, "```bash\npython src/a.py\n```\n", "names its file"),
    no("names/refusal", {"src/a.py": "x\n"}, "I am sorry, I cannot do that.", "no fenced block"),
    no("names/code-without-fence", {"src/a.py": "x\n"}, "File: src/a.py\n\ndef f():\n    return 1\n", "no fenced block"),
    # ---- Markdown that holds fences
    ok(
        "markdown/nested-with-languages",
        {"README.md": README},
        f"File: `README.md`\n```markdown\n{README.replace('tool run', 'tool go')}```\n",
        {"README.md": README.replace("tool run", "tool go")},
    ),
    ok(
        "markdown/four-backticks",
        {"README.md": README},
        f"File: `README.md`\n````\n{README.replace('```sh', '```').replace('tool run', 'tool go')}````\n",
        {"README.md": README.replace("```sh", "```").replace("tool run", "tool go")},
    ),
    no(
        "markdown/bare-inner-fences",
        {"README.md": README},
        f"File: `README.md`\n```markdown\n{README.replace('```sh', '```')}```\n",
        "unclear",
    ),
    ok(
        "markdown/edit-of-a-fence",
        {"README.md": README},
        edit("README.md", "Use:\n\n```sh\ntool run\n```\n", "Use:\n\n```sh\ntool go\n```\n"),
        {"README.md": README.replace("tool run", "tool go")},
    ),
    ok(
        "markdown/diff-of-a-fence",
        {"README.md": README},
        "````diff\n--- a/README.md\n+++ b/README.md\n@@ -9,3 +9,3 @@\n ```sh\n-tool run\n+tool go\n ```\n````\n",
        {"README.md": README.replace("tool run", "tool go")},
    ),
    no("markdown/terminal-behind-a-file", {"README.md": README}, "File: `README.md`\n```md\n# T\n```\nRun it:\n```\nmake\n```\n", "unclear"),
    # ---- diffs
    ok(
        "diff/two-files",
        {"a.py": "x = 1\ny = 2\n", "b.py": "z = 3\n"},
        "```diff\ndiff --git a/a.py b/a.py\nindex 1..2 100644\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n-x = 1\n+x = 5\n y = 2\n--- a/b.py\n+++ b/b.py\n@@ -1 +1 @@\n-z = 3\n+z = 4\n```\n",
        {"a.py": "x = 5\ny = 2\n", "b.py": "z = 4\n"},
    ),
    ok(
        "diff/two-hunks",
        ONE,
        "```diff\n--- a/a.py\n+++ b/a.py\n@@ -1,3 +1,3 @@\n def first(x):\n-    a = x + 1\n+    a = x + 2\n@@ -50,3 +50,3 @@\n-    d = c * 4\n+    d = c * 5\n     return d\n```\n",
        {"a.py": STEPS.replace("x + 1", "x + 2").replace("c * 4", "c * 5")},
    ),
    ok(
        "diff/no-newline-mark",
        {"a.py": "x = 1\ny = 2"},
        "```diff\n--- a/a.py\n+++ b/a.py\n@@ -1,2 +1,2 @@\n x = 1\n-y = 2\n\\ No newline at end of file\n+y = 3\n\\ No newline at end of file\n```\n",
        {"a.py": "x = 1\ny = 3"},
    ),
    ok(
        "diff/removed-list-items",
        {"a.yaml": "items:\n- one\n- two\n"},
        "```diff\n--- a/a.yaml\n+++ b/a.yaml\n@@ -1,3 +1,2 @@\n items:\n-- one\n - two\n```\n",
        {"a.yaml": "items:\n- two\n"},
    ),
    ok(
        "diff/of-a-patch-file-is-its-text",
        {},
        "File: `fix.patch`\n```diff\n--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n```\n",
        {"fix.patch": "--- a/a.py\n+++ b/a.py\n@@ -1 +1 @@\n-x\n+y\n"},
    ),
    no("diff/context-elsewhere", ONE, "```diff\n--- a/a.py\n+++ b/a.py\n@@ -1,3 +1,3 @@\n def first(x):\n-    c = x + 3\n+    c = x + 4\n```\n", "not in the file"),
    no("diff/nameless", ONE, "```diff\n@@ -1 +1 @@\n-    a = x + 1\n+    a = x + 2\n```\n", "name"),
    no("diff/of-a-missing-file", ONE, "```diff\n--- a/z.py\n+++ b/z.py\n@@ -1 +1 @@\n-a\n+b\n```\n", "not there"),
    # ---- JSON
    no("json/no-code-in-it", ONE, '{"summary": "done", "files": ["a.py"]}', "no fenced block"),
    no("json/outside-the-tree", ONE, '{"path": "../a.py", "content": "x"}', "the path"),
    ok("json/file-of-json", {"c.json": "{}\n"}, 'File: `c.json`\n```json\n{"path": "a.py", "content": "x"}\n```\n', {"c.json": '{"path": "a.py", "content": "x"}\n'}),
    ok("json/default-is-not-the-wrapping", {"a.py": "x = 1\n"}, '```json\n{"path": "a.py", "content": "x = 2\\n"}\n```\n', {"a.py": "x = 2\n"}, default="a.py"),
    # ---- order and number
    ok(
        "order/edits-out-of-order",
        ONE,
        f"File: `a.py`\n```\n{S}\n    return d\n{D}\n    return d + 1\n{R}\n{S}\n    return a\n{D}\n    return b\n{R}\n```\n",
        {"a.py": STEPS.replace("return d", "return d + 1").replace("return a", "return b")},
    ),
    ok(
        "order/second-edit-builds-on-the-first",
        ONE,
        f"File: `a.py`\n```\n{S}\n    return d\n{D}\n    e = d\n    return e\n{R}\n{S}\n    e = d\n{D}\n    e = d * 2\n{R}\n```\n",
        {"a.py": STEPS.replace("    return d\n", "    e = d * 2\n    return e\n")},
    ),
    no(
        "order/same-edit-twice",
        ONE,
        f"File: `a.py`\n```\n{S}\n    return d\n{D}\n    return d + 1\n{R}\n{S}\n    return d\n{D}\n    return d + 1\n{R}\n```\n",
        "Number 1 would fit",
    ),
    ok("order/no-change-is-none", ONE, edit("a.py", "    return d\n", "    return d\n"), {}),
    ok("ends/added-at-the-end-of-an-unended-file", {"a.py": "x = 1"}, edit("a.py", "x = 1\n", "x = 1\ny = 2\n"), {"a.py": "x = 1\ny = 2"}),
    ok("ends/byte-order-mark-stays", {"a.py": "\ufeffx = 1\ny = 2\n"}, edit("a.py", "x = 1\n", "x = 3\n"), {"a.py": "\ufeffx = 3\ny = 2\n"}),
    ok("ends/mixed-line-ends-stay", {"a.py": "a\r\nb\nc\r\nd\n"}, edit("a.py", "a\nb\nc\n", "a\nB\nc\n"), {"a.py": "a\r\nB\nc\r\nd\n"}),
    no("conflict/marks-of-git-are-no-edit", ONE, "File: `a.py`\n<<<<<<< HEAD\nx\n=======\ny\n>>>>>>> branch\n", "no fenced block"),
)  # fmt: skip
