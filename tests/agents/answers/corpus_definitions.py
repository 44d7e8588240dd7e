"""Cases of definitions given instead of edits, each written out by hand."""

# ruff: noqa: E501  (a case reads best as one line)
from __future__ import annotations

BANK = '''"""A bank."""
import os
from dataclasses import dataclass

LIMIT = 10


def fee(amount):
    # one per cent
    return amount * 0.01


@dataclass
class Account:
    owner: str
    balance: int = 0

    def deposit(self, amount):
        self.balance += amount

    @property
    def rich(self):
        return self.balance > 100

    @staticmethod
    def rules():
        text = """
no debts
"""
        return text

    def close(self):
        self.balance = 0


class Log:
    def write(self, line):
        print(line)

    def close(self):
        pass


if __name__ == "__main__":
    print(fee(1))
'''


def bank(old: str, new: str) -> dict[str, str | None]:
    assert BANK.count(old) == 1, old
    return {"bank.py": BANK.replace(old, new)}


def answer(code: str, label: str = "Function", path: str = "bank.py") -> str:
    return f"{label}: `{path}`\n```python\n{code}```\n"


def case(name: str, text: str, **more: object) -> dict[str, object]:
    return {"name": f"definition/{name}", "files": {"bank.py": BANK}, "answer": text, **more}


FEE = "def fee(amount):\n    return max(1, amount * 0.01)\n"
OLD_FEE = "def fee(amount):\n    # one per cent\n    return amount * 0.01\n"
DEPOSIT = "    def deposit(self, amount):\n        self.balance += amount\n"
NEW_DEPOSIT = "    def deposit(self, amount):\n        assert amount > 0\n        self.balance += amount\n"
RULES = '    @staticmethod\n    def rules():\n        text = """\nno debts\n"""\n        return text\n'
NEW_RULES = '    @staticmethod\n    def rules():\n        text = """\nno debts\nno loans\n"""\n        return text\n'
MAIN = 'if __name__ == "__main__":\n'

DEFINITIONS: tuple[dict[str, object], ...] = (
    case("function", answer(FEE), result=bank(OLD_FEE, FEE)),
    case("function-of-file-label", answer(FEE, "File"), functions=True, result=bank(OLD_FEE, FEE)),
    case("functions-label", answer(FEE, "**Functions**"), result=bank(OLD_FEE, FEE)),
    case("method-in-class", answer(f"@dataclass\nclass Account:\n{NEW_DEPOSIT}"), result=bank(DEPOSIT, NEW_DEPOSIT)),
    case(
        "method-in-class-with-dots",
        answer(f"@dataclass\nclass Account:\n    ...\n\n{NEW_DEPOSIT}"),
        result=bank(DEPOSIT, NEW_DEPOSIT),
    ),
    case("bare-method", answer(NEW_DEPOSIT.replace("\n    ", "\n").strip() + "\n"), result=bank(DEPOSIT, NEW_DEPOSIT)),
    case("indented-method", answer(NEW_DEPOSIT), result=bank(DEPOSIT, NEW_DEPOSIT)),
    case(
        "new-method",
        answer("class Log:\n    def flush(self):\n        return None\n"),
        result=bank("        pass\n", "        pass\n\n    def flush(self):\n        return None\n"),
    ),
    case(
        "new-function",
        answer("def tax(amount):\n    return amount * 2\n"),
        result=bank(MAIN, f"def tax(amount):\n    return amount * 2\n\n\n{MAIN}"),
    ),
    case(
        "new-function-with-import",
        answer("import math\n\n\ndef tax(amount):\n    return math.ceil(amount)\n"),
        result={
            "bank.py": BANK.replace(MAIN, f"def tax(amount):\n    return math.ceil(amount)\n\n\n{MAIN}").replace(
                "import dataclass\n", "import dataclass\nimport math\n"
            )
        },
    ),
    case("known-import", answer(f"import os\n\n\n{FEE}"), result=bank(OLD_FEE, FEE)),
    case("text-of-several-lines-keeps-its-margin", answer(f"@dataclass\nclass Account:\n{NEW_RULES}"), result=bank(RULES, NEW_RULES)),
    case(
        "two-at-once",
        answer(f"{FEE}\n\nclass Log:\n    def write(self, line):\n        print(line, flush=True)\n"),
        result={"bank.py": BANK.replace(OLD_FEE, FEE).replace("print(line)", "print(line, flush=True)")},
    ),
    case(
        "property-with-decorator",
        answer("@dataclass\nclass Account:\n    @property\n    def rich(self):\n        return self.balance > 1000\n"),
        result=bank("self.balance > 100\n", "self.balance > 1000\n"),
    ),
    case(
        "whole-class",
        answer("class Log:\n    level = 1\n\n    def write(self, line):\n        print(line)\n\n    def close(self):\n        print()\n"),
        result=bank(
            "class Log:\n    def write(self, line):\n        print(line)\n\n    def close(self):\n        pass\n",
            "class Log:\n    level = 1\n\n    def write(self, line):\n        print(line)\n\n    def close(self):\n        print()\n",
        ),
    ),
    case("new-file", answer("def f():\n    return 1\n", path="new.py"), result={"new.py": "def f():\n    return 1\n"}),
    case(
        "whole-file-in-this-form",
        answer(BANK.replace("0.01", "0.02")),
        result=bank("amount * 0.01", "amount * 0.02"),
    ),
    case(
        "carriage-returns-of-the-file-stay",
        answer(FEE),
        files={"bank.py": BANK.replace("\n", "\r\n")},
        result={"bank.py": BANK.replace(OLD_FEE, FEE).replace("\n", "\r\n")},
    ),
    case(
        "edit-beside-definition",
        answer(FEE) + "\nFile: `bank.py`\n```\n<<<<<<< SEARCH\nLIMIT = 10\n=======\nLIMIT = 20\n>>>>>>> REPLACE\n```\n",
        result={"bank.py": BANK.replace(OLD_FEE, FEE).replace("LIMIT = 10", "LIMIT = 20")},
    ),
    case("lost-decorator", answer("class Account:\n    owner: str\n    balance: int = 0\n\n    def deposit(self, amount):\n        pass\n"), word="decorator"),
    case("lost-property", answer("def rich(self):\n    return True\n"), word="decorator"),
    case("method-of-two-classes", answer("def close(self):\n    return 1\n"), word="2 classes"),
    case("method-of-no-class", answer("def open(self):\n    return 1\n"), word="no class"),
    case("class-with-fields-and-few-methods", answer("@dataclass\nclass Account:\n    owner: str\n\n    def deposit(self, amount):\n        pass\n"), word="lacks"),
    case("class-with-other-bases", answer("class Log(list):\n    def write(self, line):\n        pass\n"), word="lacks"),
    case("statements", answer(f"LIMIT = 11\n\n\n{FEE}"), word="more than definitions"),
    case("no-definition", answer("LIMIT = 11\n"), word="no definition"),
    case("unreadable", answer("def fee(amount:\n    return 1\n"), word="syntax error"),
    case("given-twice", answer(f"{FEE}\n\n{OLD_FEE}"), word="once"),
    case("dots-for-a-body-part", answer("def fee(amount):\n    # ... existing code ...\n    return 1\n"), word="not whole"),
    case("defined-twice", answer("def f():\n    return 3\n"), files={"bank.py": "import os\nif os.name:\n    def f():\n        return 1\nelse:\n    def f():\n        return 2\n"}, word="defined 2 times"),
    case("no-python", answer("function f() {}\n", path="a.js"), files={"a.js": "function f() { return 1 }\n"}, word="whole file"),
    case("unreadable-file", answer(FEE), files={"bank.py": "def fee(:\n"}, word="cannot be read"),
)  # fmt: skip
