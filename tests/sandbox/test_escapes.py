"""What a hostile program reaches for, at each level; and unconfined, to know that the attack works at all."""

import ast
import asyncio
import contextlib
import json
import os
import socket
import sys
from pathlib import Path, PurePosixPath

import pytest

from infrastructure.sandbox import Command, Level, Sandbox, UnsafeCommand, interpreter_paths

pytestmark = pytest.mark.slow

ATTACKS = Path(__file__).with_name("attacks")
REACHING = (ATTACKS / "reaching.py").read_text()
CALLS = (ATTACKS / "calls.py").read_text()
PYTHON = Path(sys.executable)
INTERPRETER = interpreter_paths(PYTHON)
HOME = Path.home()
NOT_ATTACKS = {"syscall", "connected"}
NAMES = [
    node.name for node in ast.parse(REACHING).body if isinstance(node, ast.FunctionDef) and node.name not in NOT_ATTACKS
]


def received(listener: socket.socket) -> bytes:
    with contextlib.suppress(BlockingIOError):
        return listener.recv(100)
    return b""


@pytest.mark.parametrize("attack", NAMES)
async def test_nothing_of_the_machine_is_reached(sandbox: Sandbox, run_python, host, attack: str) -> None:
    ended = await run_python(sandbox, REACHING, attack, host.as_json())

    assert ended.exit_code in (0, 1), ended
    assert "GOT THROUGH" not in ended.stdout
    assert not host.written.exists()
    assert host.secret.read_text() == "-----BEGIN a secret-----"
    assert host.scrap.read_text() == "scrap"
    assert received(host.datagrams) == b""
    assert received(host.unix_datagrams) == b""


NEEDS_PTRACE = {"attach_to_another_process", "read_another_process_memory"}


def ptrace_is_restricted() -> bool:
    scope = Path("/proc/sys/kernel/yama/ptrace_scope")
    return os.geteuid() != 0 and scope.exists() and scope.read_text().strip() != "0"


@pytest.mark.parametrize("attack", NAMES)
async def test_the_same_attack_gets_through_where_nothing_confines_it(
    unconfined: Sandbox, run_python, host, attack: str
) -> None:
    if attack in NEEDS_PTRACE and ptrace_is_restricted():
        pytest.skip("this machine refuses it to everybody (Yama)")
    ended = await run_python(unconfined, REACHING, attack, host.as_json())

    assert "GOT THROUGH" in ended.stdout or received(host.datagrams), ended


async def test_calls_that_widen_the_kernel_are_refused(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(sandbox, CALLS)

    errors = json.loads(ended.stdout)
    assert errors.pop("clone3") == "ENOSYS", "libc must fall back to clone, whose flags the filter can read"
    assert {name: error for name, error in errors.items() if error != "EPERM"} == {}


async def test_a_call_of_the_x32_interface_kills(sandbox: Sandbox, run_python) -> None:
    if os.uname().machine != "x86_64":
        pytest.skip("only x86_64 has that interface")
    ended = await run_python(
        sandbox, "import ctypes; ctypes.CDLL(None).syscall(ctypes.c_long(0x40000000 + 39)); print('alive')"
    )

    assert (ended.exit_code, ended.stdout) == (128 + 31, "")  # SIGSYS


async def test_the_environment_holds_nothing_of_ours(
    sandbox: Sandbox, run_python, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    ended = await run_python(
        sandbox, "import json, os; print(json.dumps(dict(os.environ)))", env={"GIVEN": "on purpose"}
    )

    inside = json.loads(ended.stdout)
    inside.pop("PWD", None)
    assert inside.pop("GIVEN") == "on purpose"
    assert "sk-secret" not in inside.values()
    assert set(inside) == {
        "PATH", "HOME", "TMPDIR", "LANG", "TERM", "PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONNOUSERSITE",
    }  # fmt: skip


async def test_no_open_file_is_inherited(sandbox: Sandbox, run_python, host) -> None:
    with host.secret.open() as secret:
        os.set_inheritable(secret.fileno(), True)
        ended = await run_python(
            sandbox,
            "import os\nfor fd in range(3, 256):\n  try: print(fd, os.fstat(fd))\n  except OSError: pass",
        )

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "", "")


async def test_no_privilege_is_held_or_can_be_gained(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(
        sandbox,
        """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(libc.prctl(39, 0, 0, 0, 0))                       # no new privileges
print([cap for cap in range(41) if libc.prctl(23, cap, 0, 0, 0) == 1])     # the bounding set
header, sets = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
libc.capget(header, sets)
print(list(sets))
try: os.mknod('device', 0o20666, os.makedev(1, 1)); print('a device')
except OSError: print('no device')
""",
    )

    no_new_privileges, bounding, held, device = ended.stdout.splitlines()
    assert (no_new_privileges, held, device) == ("1", "[0, 0, 0, 0, 0, 0]", "no device")
    if sandbox.level is Level.BUBBLEWRAP or os.geteuid() == 0:  # only root has a bounding set to lower
        assert bounding == "[]"


async def test_the_home_folder_shows_only_the_way_to_what_is_bound(sandbox: Sandbox, run_python, tree: Path) -> None:
    home = HOME
    ended = await run_python(
        sandbox,
        "import os, sys\ntry: print(*os.listdir(sys.argv[1]), sep='\\n')\nexcept OSError: pass",
        str(home),
    )

    bound = {path.relative_to(home).parts[0] for path in (*INTERPRETER, tree) if path.is_relative_to(home)}
    assert set(filter(None, ended.stdout.splitlines())) <= bound


async def test_kernel_settings_cannot_be_written(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(
        sandbox,
        """
for name in ('/proc/sys/kernel/core_pattern', '/proc/sysrq-trigger', '/sys/kernel/uevent_helper',
             '/sys/fs/cgroup/cgroup.procs', '/dev/mem', '/dev/kmsg', '/usr/bin/planted', '/etc/passwd'):
    try:
        open(name, 'w'); print('opened', name)
    except OSError: pass
for name in ('/proc/kcore', '/proc/kmsg', '/proc/keys', '/dev/mem', '/etc/shadow'):
    try:
        if open(name, 'rb').read(16): print('read', name)
    except OSError: pass
""",
    )

    assert (ended.exit_code, ended.stdout) == (0, "")


async def test_only_tree_and_temporary_folders_can_be_written(
    bubblewrap: Sandbox, run_python, repository_root: Path
) -> None:
    ended = await run_python(
        bubblewrap,
        """
import os
for folder, folders, _ in os.walk('/'):
    if folder == '/': folders.remove('usr')
    if folder.startswith(os.getcwd()) or os.getcwd().startswith(folder + '/'): continue
    try:
        with open(folder + '/planted', 'x'): print(folder)
    except OSError: pass
""",
    )

    # An interpreter below /tmp has its parents made in the sandbox's own /tmp; nothing of the host is in them.
    made = {str(parent) for parent in repository_root.parents} | {str(repository_root)}
    assert sorted(set(ended.stdout.splitlines()) - made) == ["/dev/shm", "/tmp/home"]
    assert not list(repository_root.glob("planted"))


async def test_a_git_hook_cannot_be_planted(bubblewrap: Sandbox, run_python, tree: Path) -> None:
    (tree / ".git" / "hooks").mkdir(parents=True)
    (tree / ".git" / "config").write_text("[core]\n")
    ended = await run_python(
        bubblewrap,
        """
import os, shutil
def attempt(name, what, *arguments):
    try: what(*arguments); print('did', name)
    except OSError: pass
attempt('hook', lambda: open('.git/hooks/post-checkout', 'w').write('evil'))
attempt('config', lambda: open('.git/config', 'a').write('[core]\\nfsmonitor=evil'))
attempt('move', os.rename, '.git', '.was')
attempt('remove', shutil.rmtree, '.git')
""",
    )

    assert (ended.exit_code, ended.stdout) == (0, "")
    assert (tree / ".git" / "config").read_text() == "[core]\n"


async def test_a_git_folder_that_is_a_link_shows_nothing(sandbox: Sandbox, run_python, tree: Path, host) -> None:
    (tree / ".git").symlink_to(host.folder / "home")
    ended = await run_python(sandbox, "import os; print(os.listdir('.git'))")

    assert ended.exit_code == 1
    assert ended.stdout == ""


async def test_a_link_in_the_tree_is_not_shown_as_a_dependency_folder(sandbox: Sandbox, tree: Path, host) -> None:
    (tree / ".venv").symlink_to(host.folder / "home")

    with pytest.raises(UnsafeCommand):
        await sandbox.run(Command(argv=("true",), tree=tree, read=(tree / ".venv",)))


@pytest.mark.parametrize("path", ["/", "/etc", "/proc", "/root", HOME, HOME.parent, "relative", "/no/such/path"])
async def test_paths_that_hold_too_much_are_never_shown(sandbox: Sandbox, tree: Path, path: str | Path) -> None:
    wanted = Path(path)

    with pytest.raises(UnsafeCommand):
        await sandbox.run(Command(argv=("true",), tree=tree, read=(wanted,)))
    with pytest.raises(UnsafeCommand):
        await sandbox.run(Command(argv=("true",), tree=wanted))


@pytest.mark.parametrize(
    ("argv", "env"),
    [((), {}), (("echo", "a\0b"), {}), (("echo", "\ud800"), {}), (("env",), {"A": "\0"}), (("env",), {"A=B": "c"})],
)
async def test_words_that_no_program_can_be_given_are_refused(
    sandbox: Sandbox, tree: Path, argv: tuple[str, ...], env: dict[str, str]
) -> None:
    with pytest.raises(UnsafeCommand):
        await sandbox.run(Command(argv=argv, tree=tree, env=env))


async def test_the_working_directory_cannot_lead_out_of_the_tree(sandbox: Sandbox, tree: Path, host) -> None:
    (tree / "out").symlink_to(host.folder)
    for cwd in ("..", "out", "/", "missing"):
        with pytest.raises(UnsafeCommand):
            await sandbox.run(Command(argv=("true",), tree=tree, cwd=PurePosixPath(cwd)))


async def test_two_executions_cannot_see_each_other(bubblewrap: Sandbox, tmp_path: Path) -> None:
    source = """
import os, socket, sys, time
open('/tmp/mark', 'x'); open('/dev/shm/mark', 'x')
server = socket.create_server(('127.0.0.1', 45871)); server.settimeout(0.7)
try: server.accept(); print('met')
except TimeoutError: pass
print(sum(name.isdecimal() for name in os.listdir('/proc')))
"""
    trees = [tmp_path / "one", tmp_path / "two"]
    for folder in trees:
        folder.mkdir()
    commands = [Command(argv=(str(PYTHON), "-c", source), tree=folder, read=INTERPRETER) for folder in trees]

    ended = await asyncio.gather(*(bubblewrap.run(command) for command in commands))

    assert [(e.exit_code, e.stdout) for e in ended] == [(0, "2\n"), (0, "2\n")]
