"""Cases of whole files, each written out by hand: where they end, and what beside them is none."""

# ruff: noqa: E501  (a case reads best as one line)
from __future__ import annotations

from tests.agents.answers.corpus_single import no, ok

PROMPT = {"prompt.txt": "Answer in a fence.\n\nAlways stop after it.\nNever explain.\n"}
CODE = {"calc.py": "def add(a, b):\n    return a - b\n"}
ADD = "def add(a, b):\n    return a + b\n"
FILE = f"File: `calc.py`\n```python\n{ADD}```\n"
ADDED: dict[str, str | None] = {"calc.py": ADD}
DOCSTRING = f'def add(a, b):\n    """Adds.\n\n```python\nadd(1, 2)\n```\n    """\n    return a + b\n{ADD}'
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
)  # fmt: skip
