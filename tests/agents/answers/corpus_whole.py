"""Cases of whole files, each written out by hand: where they end, and what beside them is none."""

# ruff: noqa: E501  (a case reads best as one line)
from __future__ import annotations

from tests.agents.answers.corpus_single import edit, no, ok

PROMPT = {"prompt.txt": "Answer in a fence.\n\nAlways stop after it.\nNever explain.\n"}
CODE = {"calc.py": "def add(a, b):\n    return a - b\n"}
ADD = "def add(a, b):\n    return a + b\n"
FILE = f"File: `calc.py`\n```python\n{ADD}```\n"
ADDED: dict[str, str | None] = {"calc.py": ADD}
DOCSTRING = f'def add(a, b):\n    """Adds.\n\n```python\nadd(1, 2)\n```\n    """\n    return a + b\n{ADD}'
MAIN = "import app\n\n\ndef main():\n    app.run()\n"
PAIR = {
    "calc.py": f"def add(a, b):\n    return a - b\n\n\n{MAIN[12:]}",
    "main.py": MAIN,
    "README.md": "# Calc\n\nIt adds.\n",
}
PAIRED: dict[str, str | None] = {"calc.py": str(PAIR["calc.py"]).replace("a - b", "a + b")}
EDITED = edit("calc.py", "    return a - b\n", "    return a + b\n")
GIVEN = f"File: `calc.py`\n```python\n{PAIRED['calc.py']}```\n"
USE = "```python\nfrom calc import add\nprint(add(1, 2))\n```\n"
AREA = "def area(x):\n    return edge(x) * 2 * RATE\n"
PARTS = {"m.py": f"RATE = 4\n\n\ndef half(x):\n    return x // 2\n\n\ndef edge(x):\n    return x + 1\n\n\n{AREA}"}
SCRIPT = {"a.js": "const x = 1;\n"}

WHOLE: tuple[dict[str, object], ...] = (
    # ---- where a file ends that holds fences
    no("ends/fence-in-a-text", PROMPT, "File: `prompt.txt`\n```\nAnswer in a fence:\n```python\nx = 1\n```\nAlways stop after it.\nNever explain.\n```\n", "four backticks"),
    no("ends/bare-fence-in-a-text", PROMPT, "File: `prompt.txt`\n```\nAnswer in a fence:\n```\nAlways stop after it.\n```\n", "four backticks"),
    no("ends/bare-fence-in-yaml", {"a.yaml": "old: 1\n"}, "File: `a.yaml`\n```yaml\nprompt: |\n  text\n```\nrest: 1\n```\n", "unclear"),
    no("ends/fence-in-a-text-and-no-end", PROMPT, "File: `prompt.txt`\n```\nAnswer in a fence:\n```python\nx = 1\n```\n", "unclear"),
    no("ends/fence-in-a-text-that-swallows-the-next-file", {**PROMPT, **CODE}, f"File: `prompt.txt`\n```\nAnswer:\n```python\nx = 1\n```\nAlways stop.\n```\n{FILE}", "prompt.txt"),
    no("ends/bare-fence-that-swallows-the-next-file", {**PROMPT, **CODE}, f"File: `prompt.txt`\n```\nAnswer:\n```\nAlways stop.\n```\n{FILE}", "prompt.txt"),
    no("ends/stray-end-that-swallows-the-next-file", CODE, f"{FILE}\n```\nFile: `b.py`\n```python\ny = 1\n```\n", "unclear"),
    no("ends/fence-in-the-default-file", PROMPT, "```\nAnswer in a fence:\n```python\nx = 1\n```\nAlways stop after it.\n```\n", "unclear", default="prompt.txt"),
    ok("ends/four-backticks", PROMPT, "File: `prompt.txt`\n````\nAnswer in a fence:\n```python\nx = 1\n```\nAlways stop.\n````\n", {"prompt.txt": "Answer in a fence:\n```python\nx = 1\n```\nAlways stop.\n"}),
    no("ends/fence-in-a-docstring", CODE, f"File: `calc.py`\n```python\n{DOCSTRING}```\n", "four backticks"),
    no("ends/two-bare-fences-in-a-docstring", CODE, f"File: `calc.py`\n```python\n{DOCSTRING.replace('```python', '```')}```\n", "unclear"),
    ok("ends/fence-further-in-in-a-docstring", CODE, 'File: `calc.py`\n```python\ndef add(a, b):\n    """Adds.\n\n    ```python\n    add(1, 2)\n    ```\n    """\n    return a + b\n```\n', {"calc.py": 'def add(a, b):\n    """Adds.\n\n    ```python\n    add(1, 2)\n    ```\n    """\n    return a + b\n'}),
    no("ends/fences-in-a-comment", SCRIPT, "File: `a.js`\n```js\n/*\n```\nexample()\n```\n*/\nconst x = 2;\n```\n", "unclear"),
    ok("ends/python-ends-where-it-can-be-read", CODE, f"{FILE}This adds.\n```\n", ADDED),
    ok("ends/one-end-too-many", SCRIPT, "File: `a.js`\n```js\nconst x = 2;\n```\n```\n", {"a.js": "const x = 2;\n"}),
    ok("ends/output-behind-a-file", SCRIPT, "File: `a.js`\n```js\n/* x */\nconst x = 2;\n```\nIt prints:\n```\n2\n```\n", {"a.js": "const x = 2;\n".join(["/* x */\n", ""])}),
    # ---- what only shows something
    ok("asides/excerpt-behind-an-edit", PAIR, f"{EDITED}Now `calc.py` contains:\n```python\n{ADD}```\n", PAIRED),
    ok("asides/excerpt-behind-a-diff", PAIR, f"```diff\n--- a/calc.py\n+++ b/calc.py\n@@ -2 +2 @@\n-    return a - b\n+    return a + b\n```\nNow `calc.py` contains:\n```python\n{ADD}```\n", PAIRED),
    ok("asides/whole-file-named-in-a-sentence-before-its-diff", PAIR, f"The new `calc.py`:\n```python\n{PAIRED['calc.py']}```\nThe change:\n```diff\n--- a/calc.py\n+++ b/calc.py\n@@ -2 +2 @@\n-    return a - b\n+    return a + b\n```\n", PAIRED),
    ok("asides/excerpt-before-an-edit", PAIR, f"The fault is in `calc.py`:\n```python\n    return a - b  # wrong\n```\n{EDITED}", PAIRED),
    ok("asides/key-line-behind-the-file", PAIR, f"{GIVEN}The key line in `calc.py`:\n```python\n    return a + b\n```\n", PAIRED),
    ok("asides/use-in-a-sentence", PAIR, f"{GIVEN}You can then use it from `main.py`:\n{USE}", PAIRED),
    ok("asides/use-behind-an-edit", PAIR, f"{EDITED}You can then use it from `main.py`:\n{USE}", PAIRED),
    ok("asides/use-in-a-comment", PAIR, f"{GIVEN}Example:\n{USE.replace('from', '# main.py' + chr(10) + 'from', 1)}", PAIRED),
    ok("asides/use-where-nothing-has-a-label", PAIR, f"Here is the new `calc.py`:\n```python\n{PAIRED['calc.py']}```\nYou can use it from `main.py`:\n{USE}", PAIRED),
    ok("asides/use-behind-a-function", PAIR, f"Function: `calc.py`\n```python\n{ADD}```\nYou can use it from `main.py`:\n{USE}", PAIRED, functions=True),
    ok("asides/text-for-a-readme", PAIR, f"{GIVEN}In `README.md` you could write:\n```\nUse add.\n```\n", PAIRED),
    ok("asides/second-file-in-a-sentence", PAIR, f"{GIVEN}And `main.py`:\n```python\nimport calc\n{MAIN}```\n", {**PAIRED, "main.py": f"import calc\n{MAIN}"}),
    ok("asides/second-file-in-a-comment", PAIR, f"{GIVEN}```python\n# main.py\nimport calc\n{MAIN}```\n", {**PAIRED, "main.py": f"# main.py\nimport calc\n{MAIN}"}),
    ok("asides/new-file-in-a-sentence", PAIR, f"{GIVEN}A test in `test_calc.py`:\n```python\nx = 1\n```\n", {**PAIRED, "test_calc.py": "x = 1\n"}),
    ok("asides/sole-block-in-a-sentence", PAIR, f"Here is the new `calc.py`:\n```python\n{ADD}```\n", {"calc.py": ADD}),
    ok("asides/file-behind-its-edits", PAIR, f"{EDITED}File: `calc.py`\n```python\n{PAIRED['calc.py']}```\n", PAIRED),
    no("asides/other-file-behind-its-edits", PAIR, f"{EDITED}File: `calc.py`\n```python\n{ADD}\n\ndef main():\n    pass\n```\n", "the two differ"),
    # ---- a part of a file under the file's label
    ok("part/one-function-that-needs-another", PARTS, f"File: `m.py`\n```python\n{AREA.replace('* 2', '* 3')}```\n", {"m.py": PARTS["m.py"].replace("* 2", "* 3")}),
    ok("part/one-function-and-an-import", PARTS, f"File: `m.py`\n```python\nimport math\n\n\n{AREA.replace('* 2', '* math.pi')}```\n", {"m.py": "import math\n" + PARTS["m.py"].replace("* 2", "* math.pi")}),
    no("part/a-call-that-needs-what-is-gone", PARTS, "File: `m.py`\n```python\nprint(area(2))\n```\n", "leaves out RATE, area, edge, half, and uses area"),
    no("part/one-of-four-that-needs-none", PARTS, "File: `m.py`\n```python\ndef half(x):\n    return x / 2\n```\n", "leaves out RATE, area, edge"),
    ok("part/two-of-four-are-the-file", PARTS, "File: `m.py`\n```python\ndef half(x):\n    return x / 2\n\n\ndef edge(x):\n    return x\n```\n", {"m.py": "def half(x):\n    return x / 2\n\n\ndef edge(x):\n    return x\n"}),
    ok("part/written-anew-under-other-names", PARTS, "File: `m.py`\n```python\nclass Shape:\n    def area(self):\n        return 1\n```\n", {"m.py": "class Shape:\n    def area(self):\n        return 1\n"}),
    ok("part/moved-to-another-module", PARTS, "File: `m.py`\n```python\nfrom n import RATE, edge, half\n\n\ndef area(x):\n    return edge(x) * RATE + half(x)\n```\n", {"m.py": "from n import RATE, edge, half\n\n\ndef area(x):\n    return edge(x) * RATE + half(x)\n"}),
    ok("part/split-into-two-modules", PARTS, "File: `n.py`\n```python\nRATE: int = 4\n\n\ndef half(x):\n    return x // 2\n\n\ndef edge(x):\n    return x + 1\n```\nFile: `m.py`\n```python\nfrom n import *\n```\n", {"n.py": "RATE: int = 4\n\n\ndef half(x):\n    return x // 2\n\n\ndef edge(x):\n    return x + 1\n", "m.py": "from n import *\n"}),
    ok("part/the-lesser-part-stays-and-the-rest-is-moved", PARTS, "File: `n.py`\n```python\nRATE: int = 4\n\n\ndef half(x):\n    return x // 2\n\n\ndef area(x):\n    return x\n```\nFile: `m.py`\n```python\nimport n\n\n\ndef edge(x):\n    return n.half(x)\n```\n", {"n.py": "RATE: int = 4\n\n\ndef half(x):\n    return x // 2\n\n\ndef area(x):\n    return x\n", "m.py": "import n\n\n\ndef edge(x):\n    return n.half(x)\n"}),
    ok("part/its-own-builtin-is-gone", {"m.py": "def sum(a):\n    return 0\n\n\ndef mean(a):\n    return sum(a) / len(a)\n"}, "File: `m.py`\n```python\ndef mean(a):\n    return sum(a) / len(a)\n```\n", {"m.py": "def mean(a):\n    return sum(a) / len(a)\n"}),
    ok("part/its-helpers-are-gone", {"m.py": "def _one(a):\n    return a\n\n\ndef _two(a):\n    return _one(a)\n\n\ndef area(a):\n    return _two(a)\n"}, "File: `m.py`\n```python\ndef area(a):\n    return a\n```\n", {"m.py": "def area(a):\n    return a\n"}),
    ok("part/a-name-of-its-own", PARTS, "File: `m.py`\n```python\ndef area(edge):\n    RATE = 3\n    return edge * RATE\n\n\ndef half(x):\n    return x / 2\n```\n", {"m.py": "def area(edge):\n    RATE = 3\n    return edge * RATE\n\n\ndef half(x):\n    return x / 2\n"}),
    # ---- classes that lack attributes
    ok("lacking/attributes-of-a-class", {"c.py": "class C:\n    X = 1\n    Y: int = 2\n\n    def f(self):\n        return 1\n"}, "Function: `c.py`\n```python\nclass C:\n    def f(self):\n        return 2\n```\n", {"c.py": "class C:\n    X = 1\n    Y: int = 2\n\n    def f(self):\n        return 2\n"}),
    no("lacking/one-of-two-attributes", {"c.py": "class C:\n    X = 1\n    Y = 2\n"}, "Function: `c.py`\n```python\nclass C:\n    X = 3\n```\n", "lacks Y"),
    no("lacking/constant-of-a-module", {"c.py": "RATE = 2\n\n\ndef f():\n    return RATE\n"}, "Function: `c.py`\n```python\nLIMIT = 3\n\n\ndef f():\n    return LIMIT\n```\n", "more than definitions"),
)  # fmt: skip
