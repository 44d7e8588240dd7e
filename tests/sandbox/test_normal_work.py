"""What ordinary projects do in their tests goes on working inside."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path, PurePosixPath

import pytest

from infrastructure.sandbox import Command, Sandbox, interpreter_paths

pytestmark = pytest.mark.slow

PYTHON = Path(sys.executable)
INTERPRETER = interpreter_paths(PYTHON)

WORK = {
    "asyncio with a subprocess": """
import asyncio, sys
async def main():
    process = await asyncio.create_subprocess_exec(sys.executable, '-c', 'print(6 * 7)', stdout=-1)
    out, _ = await process.communicate()
    await asyncio.gather(*(asyncio.to_thread(sum, range(1000)) for _ in range(8)))
    print(out.decode().strip())
asyncio.run(main())""",
    "threads": """
from concurrent.futures import ThreadPoolExecutor
with ThreadPoolExecutor(8) as pool: print(sum(pool.map(lambda n: n, range(7))) * 2)""",
    "a subprocess that is stopped": """
import subprocess, sys
child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])
child.terminate(); assert child.wait() == -15
print(42)""",
    "a shell pipeline": """
import subprocess
print(subprocess.run("echo 41 | awk '{print $1 + 1}'", shell=True, capture_output=True, text=True).stdout.strip())""",
    "SQLite with a write-ahead log": """
import sqlite3
base = sqlite3.connect('base.db'); base.execute('pragma journal_mode=wal')
base.execute('create table t (n)'); base.execute('insert into t values (42)'); base.commit()
print(sqlite3.connect('base.db').execute('select n from t').fetchone()[0])""",
    "temporary files": """
import shutil, tempfile, pathlib
with tempfile.TemporaryDirectory() as folder:
    file = pathlib.Path(folder, 'a'); file.write_text('42')
    shutil.copytree(folder, 'copied'); shutil.copy2(file, 'b'); file.rename(folder + '/c')
print(open('b').read())""",
    "a process with a pipe": """
import multiprocessing
def child(end): end.send(42)
if __name__ == '__main__':
    ours, theirs = multiprocessing.get_context('fork').Pipe()
    worker = multiprocessing.get_context('fork').Process(target=child, args=(theirs,)); worker.start()
    print(ours.recv()); worker.join()""",
    "unittest": """
import io, unittest
class Test(unittest.TestCase):
    def test(self): self.assertEqual(6 * 7, 42)
result = unittest.TextTestRunner(stream=io.StringIO()).run(unittest.defaultTestLoader.loadTestsFromTestCase(Test))
print(42 if result.wasSuccessful() and result.testsRun == 1 else result)""",
    "the user's name and home": """
import getpass, os, pathlib, pwd
home = pathlib.Path.home(); (home / 'mark').write_text('x')
assert pwd.getpwuid(os.getuid()).pw_name == getpass.getuser()
print(42)""",
    "randomness and time": """
import datetime, os, random, secrets, uuid
assert len({uuid.uuid4(), secrets.token_hex(), os.urandom(8), random.random()}) == 4
datetime.datetime.now().astimezone()
print(42)""",
}

OWN_NAMESPACES = {
    "a server on its own loopback": """
import http.server, threading, urllib.request
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self): self.send_response(200); self.end_headers(); self.wfile.write(b'42')
    def log_message(self, *arguments): pass
server = http.server.ThreadingHTTPServer(('localhost', 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
print(urllib.request.urlopen(f'http://localhost:{server.server_port}/').read().decode())""",
    "an asyncio server, on both families": """
import asyncio
async def main():
    async def answer(reader, writer): writer.write(b'42'); await writer.drain(); writer.close()
    for address in ('127.0.0.1', '::1'):
        async with await asyncio.start_server(answer, address, 0) as server:
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname()[:2])
            said = await reader.read(); writer.close(); await writer.wait_closed()
    print(said.decode())
asyncio.run(main())""",
    "a UNIX socket in the tree": """
import socket, threading
server = socket.socket(socket.AF_UNIX); server.bind('here.sock'); server.listen()
threading.Thread(target=lambda: server.accept()[0].send(b'42')).start()
client = socket.socket(socket.AF_UNIX); client.connect('here.sock'); print(client.recv(2).decode())""",
    "a pool of processes": """
import multiprocessing
def double(n): return 2 * n
if __name__ == '__main__':
    with multiprocessing.get_context('fork').Pool(4) as pool: print(sum(pool.map(double, range(7))))""",
    "file modes": """
import os
open('script', 'w').write('#!/bin/sh\\necho 42\\n'); os.chmod('script', 0o755)
os.system('./script')""",
    "a pseudo terminal": """
import os, pty
main, other = pty.openpty(); os.write(other, b'42'); print(os.read(main, 2).decode())""",
}


@pytest.mark.parametrize("work", WORK)
async def test_works_at_every_level(sandbox: Sandbox, run_python, work: str) -> None:
    ended = await run_python(sandbox, WORK[work])

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "42\n", ""), ended


@pytest.mark.parametrize("work", OWN_NAMESPACES)
async def test_works_where_namespaces_are_its_own(bubblewrap: Sandbox, run_python, work: str) -> None:
    ended = await run_python(bubblewrap, OWN_NAMESPACES[work])

    assert (ended.exit_code, ended.stdout, ended.stderr) == (0, "42\n", ""), ended


async def test_pytest_of_this_environment_runs(sandbox: Sandbox, tree: Path) -> None:
    (tree / "test_it.py").write_text(
        "def test_green(tmp_path): (tmp_path / 'a').write_text('x')\ndef test_red(): assert 6 * 7 == 43\n"
    )
    ended = await sandbox.run(
        Command(
            argv=(str(PYTHON), "-m", "pytest", "-q", "-p", "no:cacheprovider", "--junitxml=report.xml"),
            tree=tree,
            read=INTERPRETER,
        )
    )

    assert ended.exit_code == 1, ended
    assert "1 failed, 1 passed" in ended.stdout
    assert 'tests="2"' in (tree / "report.xml").read_text()


async def test_results_in_the_tree_belong_to_us(sandbox: Sandbox, run_python, tree: Path) -> None:
    await run_python(sandbox, "open('result', 'w').write('ours')")

    assert (tree / "result").stat().st_uid == os.getuid()
    assert (tree / "result").read_text() == "ours"


async def test_a_command_starts_in_the_folder_it_names(sandbox: Sandbox, tree: Path) -> None:
    (tree / "package" / "inner").mkdir(parents=True)
    ended = await sandbox.run(Command(argv=("pwd",), tree=tree, cwd=PurePosixPath("package/inner")))

    assert ended.stdout == f"{tree}/package/inner\n"


async def test_a_dependency_folder_is_seen_where_it_is_and_cannot_be_written(
    sandbox: Sandbox, tree: Path, tmp_path: Path
) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "dependency.txt").write_text("a dependency")
    (tmp_path / "node_modules").symlink_to("real")
    folder = tmp_path / "node_modules"
    read = await sandbox.run(Command(argv=("cat", f"{folder}/dependency.txt"), tree=tree, read=(folder,)))
    write = await sandbox.run(Command(argv=("mkdir", f"{folder}/planted"), tree=tree, read=(folder,)))

    assert (read.exit_code, read.stdout) == (0, "a dependency")
    assert write.exit_code == 1
    assert not (folder / "planted").exists()


async def test_a_dependency_folder_inside_the_tree_is_read_only(bubblewrap: Sandbox, tree: Path) -> None:
    (tree / ".venv").mkdir()
    ended = await bubblewrap.run(Command(argv=("touch", ".venv/planted"), tree=tree, read=(tree / ".venv",)))

    assert ended.exit_code == 1
    assert "Read-only file system" in ended.stderr


async def test_a_tree_inside_a_readable_folder_can_still_be_written(sandbox: Sandbox, tree: Path) -> None:
    ended = await sandbox.run(Command(argv=("touch", "result"), tree=tree, read=(tree.parent,)))

    assert ended.exit_code == 0, ended


@pytest.mark.parametrize(
    ("argv", "code"),
    [
        (("true",), 0),
        (("false",), 1),
        (("no-such-program",), 127),
        (("/etc/passwd",), 126),
        (("sh", "-c", "exit 3"), 3),
        (("sh", "-c", "kill -9 $$"), 137),
        (("sh", "-c", "kill -15 $$"), 143),
    ],
)
async def test_exit_codes_are_those_of_a_shell(sandbox: Sandbox, tree: Path, argv: tuple[str, ...], code: int) -> None:
    ended = await sandbox.run(Command(argv=argv, tree=tree))

    assert (ended.exit_code, ended.stopped) == (code, None), ended


async def test_git_reads_the_history_of_the_tree(bubblewrap: Sandbox, tree: Path) -> None:
    if shutil.which("git") is None:
        pytest.skip("git is not installed")
    subprocess.run(["git", "init", "-q", tree], check=True)  # noqa: ASYNC221 - a test may wait
    ended = await bubblewrap.run(Command(argv=("git", "status", "--porcelain"), tree=tree))

    assert (ended.exit_code, ended.stdout) == (0, ""), ended


async def test_output_that_is_no_text_is_shown_as_far_as_it_is(sandbox: Sandbox, run_python) -> None:
    ended = await run_python(sandbox, "import os; os.write(1, b'a\\xff\\x1b[31mb'); os.write(2, 'ü'.encode()[:1])")

    assert (ended.stdout, ended.stderr) == ("a\ufffd\x1b[31mb", "\ufffd")


async def test_the_environment_is_the_same_every_time(sandbox: Sandbox, run_python) -> None:
    source = "import json, os; print(json.dumps(sorted(os.environ)), hash('a'))"
    one, two = await run_python(sandbox, source), await run_python(sandbox, source)

    assert one.stdout == two.stdout
    assert "PYTHONHASHSEED" in json.loads(one.stdout.rpartition("]")[0] + "]")


IGNORED = """
import asyncio, signal, sys
from pathlib import Path
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
    signal.signal(number, signal.SIG_IGN)
from infrastructure.sandbox import Command, Level
from tests.sandbox.conftest import INTERPRETER, PYTHON, opened
command = Command(argv=(str(PYTHON), "-c", sys.argv[2]), tree=Path(sys.argv[1]), read=INTERPRETER)
for level in Level:
    sandbox = opened(level)
    if not isinstance(sandbox, Exception):
        print(level, asyncio.run(sandbox.run(command)).stdout.strip())
"""
LOOKED = """
import signal
ignored = [n.name for n in signal.valid_signals() if signal.getsignal(n) is signal.SIG_IGN]
print(sorted(ignored), signal.pthread_sigmask(signal.SIG_BLOCK, ()))
"""


def test_no_signal_is_ignored_or_held_back_inside_whatever_corral_was_started_with(
    sandbox: Sandbox, tree: Path, repository_root: Path
) -> None:
    """A shell in the background ignores SIGINT, `nohup` SIGHUP: the same test would pass or fail by that."""
    done = subprocess.run(
        [sys.executable, "-c", IGNORED, str(tree), LOOKED],
        capture_output=True, text=True, cwd=repository_root, check=True,
    )  # fmt: skip
    inside = "['SIGPIPE', 'SIGXFSZ'] set()"  # which Python itself ignores
    assert f"{sandbox.level} {inside}" in done.stdout
    assert all(line.endswith(inside) for line in done.stdout.splitlines())
