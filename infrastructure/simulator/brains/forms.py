"""Owns how the oracle writes changed files: in the form that the coder's prompt asks for, or badly in that form."""

import ast
import re
from collections.abc import Mapping

from infrastructure.simulator.settings import Form

_ASKED: Mapping[Form, str] = {
    "search_replace": "Change an existing file with search/replace blocks",
    "function": "Change an existing Python file by giving each function or class",
}
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)


def form_asked(prompt: str) -> Form:
    """The form that the coder's prompt asks for; whole files where it says nothing of it."""
    for form, words in _ASKED.items():
        if words in prompt:
            return form
    return "whole"


def written(form: Form, files: Mapping[str, str], language: str, prompt: str) -> str:
    """Files as a model writes them in a form.

    Args:
        form: The form.
        files: What they are to be, by path.
        language: Of those that are given whole.
        prompt: Where the files are shown as they are.
    """
    return "\n".join(_written(form, path, content, language, prompt) for path, content in files.items())


def fenced(files: Mapping[str, str], language: str) -> str:
    """Files as a model writes them whole: a fenced block each, the path in the info string."""
    return "\n".join(_whole(path, content, language) for path, content in files.items())


def malformed(form: Form, files: Mapping[str, str]) -> str:
    """An answer in a form that cannot be used."""
    path = next(iter(files), "answer.py")
    if form == "search_replace":
        return f"File: `{path}`\n```\n<<<<<<< SEARCH\na line\nanother line\n>>>>>>> REPLACE\n```\n"
    if form == "function":
        return f"Function: `{path}`\n```python\ndef changed(value:\n    return value\n```\n"
    return f"File: `{path}`\n```python\nimport sys\n# ... rest of the code ...\n```\n"


def _written(form: Form, path: str, content: str, language: str, prompt: str) -> str:
    shown = _shown(path, prompt) if form == "search_replace" else ""
    if shown and shown != content:
        fence = _fence(shown + content)
        return f"File: `{path}`\n{fence}\n<<<<<<< SEARCH\n{shown}=======\n{content}>>>>>>> REPLACE\n{fence}\n"
    if form == "function" and _is_definitions(path, content):
        return f"Function: `{path}`\n{_fence(content)}python\n{content}{_fence(content)}\n"
    return _whole(path, content, language)


def _whole(path: str, content: str, language: str) -> str:
    return f"{_fence(content)}{language} {path}\n{content.rstrip(chr(10))}\n{_fence(content)}\n"


def _shown(path: str, prompt: str) -> str:
    """A file as the prompt shows it, the last time it does; empty where it does not."""
    found = re.findall(rf"^File: `{re.escape(path)}`\n(`{{3,}})\n(.*?)^\1$", prompt, re.MULTILINE | re.DOTALL)
    return found[-1][1] if found else ""


def _is_definitions(path: str, content: str) -> bool:
    if not path.endswith(".py"):
        return False
    try:
        return all(isinstance(each, _DEFINITIONS) for each in ast.parse(content).body)
    except (SyntaxError, ValueError):
        return False


def _fence(content: str) -> str:
    """A fence longer than any in the content."""
    longest = max((len(run) for run in re.findall(r"`{3,}", content)), default=2)
    return "`" * max(3, longest + 1)
