"""Tries a regular expression on texts, line by line. Runs as a process of its own, which may be killed at any time.

Reads a line of JSON from its input and then the contents of the files that it names, one after another. Writes a JSON
object: `found`, the first lines that match as path, number and text; and `problem`, why the pattern is none.
"""

import json
import re
import resource
import sys

_MEMORY = 1 << 30


def main() -> None:
    """Do it."""
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    question = json.loads(sys.stdin.buffer.readline())
    found: list[tuple[str, int, str]] = []
    problem = ""
    try:
        pattern = re.compile(question["pattern"], re.IGNORECASE if question["ignore_case"] else 0)
    except (re.error, RecursionError, OverflowError) as error:
        problem = str(error) or "it is nested too deeply"
    else:
        for path, size in question["files"]:
            text = sys.stdin.buffer.read(size).decode("utf-8", "replace")
            for number, line in enumerate(text.split("\n"), 1):
                if len(found) < question["most"] and pattern.search(line.rstrip("\r")):
                    found.append((path, number, line[: question["characters"]]))
    sys.stdout.buffer.write(json.dumps({"found": found, "problem": problem}, ensure_ascii=False).encode("utf-8"))


if __name__ == "__main__":
    main()
