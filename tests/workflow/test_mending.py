"""Small faults of a changed file are put right where only one remedy is possible, and nothing else is touched."""

from __future__ import annotations

import pytest

from infrastructure.workflow.mending import Mended, mended
from infrastructure.workflow.names import newly_undefined, undefined_names

BASE = "def area(radius):\n    return radius * 2\n"
GOOD = '"""Areas."""\n\nimport os\n\n\ndef area(radius):\n    return os.sep * radius\n'


@pytest.mark.parametrize(
    ("before", "after", "expected", "said"),
    [
        (
            BASE,
            "def area(radius):\n    return math.pi * radius\n",
            "import math\n\ndef area(radius):\n    return math.pi * radius\n",
            "added import math",
        ),
        (
            GOOD,
            GOOD.replace("os.sep * radius", "json.dumps(os.sep)"),
            GOOD.replace("os.sep * radius", "json.dumps(os.sep)").replace("import os\n", "import os\nimport json\n"),
            "added import json",
        ),
        (
            None,
            '"""Counts."""\n\n\ndef f(x):\n    return Counter(x)\n',
            '"""Counts."""\n\nfrom collections import Counter\n\n\ndef f(x):\n    return Counter(x)\n',
            "added from collections import Counter",
        ),
        (
            None,
            "#!/usr/bin/env python\nprint(datetime.now())\n",
            "#!/usr/bin/env python\nfrom datetime import datetime\n\nprint(datetime.now())\n",
            "added from datetime import datetime",
        ),
        (
            None,
            "print(datetime.timedelta(1))\n",
            "import datetime\n\nprint(datetime.timedelta(1))\n",
            "added import datetime",
        ),
        (
            "from shop import price as cost\n\nx = cost()\n",
            "x = cost() + 1\n",
            "from shop import price as cost\n\nx = cost() + 1\n",
            "added from shop import price as cost",
        ),
        (
            "import os\r\nx = 1\r\n",
            "import os\r\nx = math.pi\r\n",
            "import os\r\nimport math\r\nx = math.pi\r\n",
            "added import math",
        ),
        (BASE, f"```python\n{BASE}```\n", BASE, "left out a line"),
        (BASE, f"{BASE}>>>>>>> REPLACE\n", BASE, "left out a line"),
        (
            BASE,
            f"{BASE}\nThis function now returns twice the radius as the task asks.\n",
            BASE,
            "left out the explanation",
        ),
        (
            BASE,
            f"```python\n{BASE}```\n\nThis function now doubles what it is given.\n",
            BASE,
            "left out a line of the answer's form; left out the explanation at the end",
        ),
        (BASE, "  def area(radius):\n      return radius * 2\n", BASE, "moved the code"),
        (
            None,
            "def f(x):\n    if x:\n\treturn 1\n    return 2\n",
            "def f(x):\n    if x:\n        return 1\n    return 2\n",
            "wrote blanks for tabs",
        ),
        (
            "class A:\n    def f(self):\n        a = 1\n        return a\n",
            "class A:\n    def f(self):\n    b = 2\n    return b\n",
            "class A:\n    def f(self):\n        b = 2\n        return b\n",
            "moved the new lines",
        ),
        (None, "def f(a):\n    return a &lt; 3\n", "def f(a):\n    return a < 3\n", "took out HTML's escapes"),
        (None, "x = “a”\n", 'x = "a"\n', "wrote straight quotes"),
        (None, "1 | def f():\n2 |     return 1\n", "def f():\n    return 1\n", "took out line numbers"),
        (
            None,
            "def f():\\n    x = 1\\n    return x\\n",
            "def f():\n    x = 1\n    return x\n\n",
            "wrote out line breaks",
        ),
        (None, "def f(x)\n    return x\n", "def f(x):\n    return x\n", "added a colon"),
        (
            None,
            "def f(x):\n    print(x, len(x)\n    return x\n",
            "def f(x):\n    print(x, len(x))\n    return x\n",
            "closed a",
        ),
        (
            "def calculate_total(x):\n    return x\n",
            "def calculate_total(x):\n    return x\n\n\nprint(calcualte_total(1))\n",
            "def calculate_total(x):\n    return x\n\n\nprint(calculate_total(1))\n",
            "wrote calculate_total for calcualte_total",
        ),
        (None, "maxItems = 3\nprint(maxitems)\n", "maxItems = 3\nprint(maxItems)\n", "wrote maxItems for maxitems"),
        (None, "def f():\n    return true\n", "def f():\n    return True\n", "wrote True for true"),
        (None, "имя_файла = 1\nх = имя_фйла\n", "имя_файла = 1\nх = имя_файла\n", "wrote имя_файла"),
    ],
)
def test_what_is_certain_is_mended_and_told(before: str | None, after: str, expected: str, said: str):
    result = mended("a.py", before, after)
    assert result.text == expected
    assert any(said in note for note in result.notes)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (BASE, BASE.replace("2", "3")),
        (BASE, "def area(radius):\n    return (radius + 1 * 2\n"),
        (None, "x = (a + b * c\n"),
        (None, "f(a,\ng(b)\n"),
        (None, "def f(a:\n    return a\n"),
        (None, "print(datetime.date(2020, 1, 1))\n"),
        (None, "print(math.no_such_thing(1))\n"),
        (None, "print(numpy.array([1]))\n"),
        (None, "items = [1]\nprint(item)\n"),
        (None, "value1 = 1\nprint(value2)\n"),
        (None, "node = Node(1)\n"),
        (None, "date = 1\nprint(data)\n"),
        (None, "total_price = 1\ntotal_prize = 2\nprint(total_prixe)\n"),
        (None, "from x import *\nprint(math.pi)\n"),
        (None, "def f():\n    inner_total = 1\n\n\ndef g():\n    return inner_totl\n"),
        (BASE, "<<<<<<< SEARCH\nx = 1\n=======\nx = 2\n>>>>>>> REPLACE\n"),
        ("print(json.dumps(1))\n", "print(json.dumps(2))\n"),
        ("def broken(:\n", "def broken(:\nprint(math.pi)\n"),
        (None, "if x:\n\tprint(1)\n    print(2)\n        print(3)\n"),
        (None, "s = '''\n```python\n```\n'''\n"),
    ],
)
def test_what_has_two_remedies_or_needs_none_stays(before: str | None, after: str):
    assert mended("a.py", before, after) == Mended(after)


def test_other_languages_and_own_modules_are_left_alone():
    assert mended("a.js", None, "x = math.pi\n") == Mended("x = math.pi\n")
    assert mended("a.py", None, "print(math.pi)\n", ["src/math.py"]) == Mended("print(math.pi)\n")
    assert mended("a.py", None, "print(math.pi)\n", ["math/__init__.py"]) == Mended("print(math.pi)\n")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = y\n", {"y": 1}),
        ("def f():\n    return g()\n\n\ndef g():\n    return h\n", {"h": 6}),
        ("class A:\n    a = 1\n\n    def m(self):\n        return a\n", {"a": 5}),
        ("print(y)\nx = [y for y in range(3)]\n", {"y": 1}),
        ("def f():\n    x: Later = 1\n    return x\n", {}),
        ("from __future__ import annotations\n\n\ndef f(x: Later) -> Other:\n    return x\n", {}),
        ("try:\n    unicode\nexcept NameError:\n    unicode = str\n", {}),
        ("try:\n    a_name\nexcept NameError:\n    pass\n", {}),
        ("def f():\n    global made\n    made = 1\n\n\nprint(made)\n", {}),
        ("print(__file__, __name__, len)\n", {}),
        ("from os import *\nprint(getcwd())\n", {}),
        ("globals()['x'] = 1\nprint(x)\n", {}),
        ("match 1:\n    case {'a': found}:\n        print(found)\n", {}),
        ("class A:\n    def m(self):\n        return __class__\n", {}),
        ("for i in ():\n    pass\nelse:\n    print(i)\n", {}),
        ("print((n := 1), n)\n", {}),
        ("import os.path as p, sys\nprint(p, sys)\n", {}),
        ("print(f'{missing}')\n", {"missing": 1}),
        ("def broken(:\n", {}),
    ],
)
def test_names_are_looked_up_as_python_does(text: str, expected: dict[str, int]):
    assert undefined_names(text) == expected


def test_only_names_that_the_change_left_undefined_are_told():
    assert newly_undefined("print(old)\n", "print(old, new)\n") == {"new": 1}
    assert newly_undefined("from x import *\n", "print(new)\n") == {}
