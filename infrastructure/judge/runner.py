"""Running the judge's tests on a tree.

Owns the order of work: the tree is copied to a throw-away place, the judge's files are put over it, the tests run in
the sandbox, and what they reported is read from outside. So no attempt can change the judge's files, and nothing the
tests leave behind gets into a patch.
"""

import importlib.resources
import shutil
import tempfile
from collections.abc import Collection, Mapping
from pathlib import Path, PurePosixPath

from infrastructure.judge.discovery import HARNESSED, TestPlan
from infrastructure.judge.harness import TEST_SECONDS
from infrastructure.judge.outcomes import report_of
from infrastructure.judge.overlay import put_judge_files
from infrastructure.judge.places import Place
from infrastructure.judge.reports import TestReport
from infrastructure.judge.runners import REPORT, ROOT
from infrastructure.sandbox import Command, Limits, Sandbox
from infrastructure.workspace import Tree
from infrastructure.workspace.beneath import git_mode
from infrastructure.workspace.copying import copy_files
from infrastructure.workspace.threads import Stopping, in_thread
from infrastructure.workspace.trees import walk

_LIMITS = Limits()
_SCRIPTS = ("harness.py", "canaries.py", "patience.py")


async def run_tests(
    sandbox: Sandbox,
    tree: Tree,
    plan: TestPlan,
    judge_files: Mapping[str, bytes],
    *,
    without: Collection[str] = (),
    before: bool = False,
    limits: Limits = _LIMITS,
    scratch: Path | None = None,
) -> TestReport:
    """Run the judge's tests on a copy of the tree.

    Args:
        sandbox: Where.
        tree: The candidate's tree; not changed.
        plan: What to run.
        judge_files: Copied over the tree first. Files that steer a test runner and are not among them are taken away.
        without: Files of the tree that are left out of the copy.
        before: Whether this command was started before, on the snapshot: what ends as a missing program ends then has
            chosen that ending, and is red.
        limits: Of the execution.
        scratch: Folder for the copy; beside the tree when None.

    Raises:
        TestCommandNotStarted: There is no such program, or it may not be executed.
        SandboxFault, UnsafeCommand: From the sandbox.
    """
    into = scratch or tree.root.parent
    place = await in_thread(lambda stopping: _prepare(tree, plan, judge_files, without, into, stopping))
    try:
        command = await in_thread(lambda _: _command(plan, place, limits))
        execution = await sandbox.run(command)
        return await in_thread(lambda _: report_of(plan, place, execution, before=before))
    finally:
        await in_thread(lambda _: _remove(place))


def _prepare(
    tree: Tree,
    plan: TestPlan,
    judge_files: Mapping[str, bytes],
    without: Collection[str],
    scratch: Path,
    stopping: Stopping,
) -> Place:
    scratch.mkdir(parents=True, exist_ok=True)
    place = Place.make(Path(tempfile.mkdtemp(prefix=".judge-", dir=scratch)).resolve())
    try:
        place.work.mkdir()
        found = {path: each for path, each in walk(tree.root, stopping).items() if path not in without}
        copy_files(tree.root, place.work, {path: git_mode(each.st_mode) for path, each in found.items()}, stopping)
        put_judge_files(place.work, found, judge_files, stopping)
        for name, target in plan.links:
            link = place.work / name
            if not link.exists() and not link.is_symlink():
                link.symlink_to(target)
        for name, target in plan.places:
            _make_place(place.root / name, target)
        if plan.framework in HARNESSED:
            for name in _SCRIPTS:
                script = importlib.resources.files("infrastructure.judge").joinpath(name).read_bytes()
                (place.root / name).write_bytes(script)
            (place.root / "key").write_text("\n".join((place.key, *place.marks)), "ascii")
        place.watch(judge_files)
    except BaseException:
        _remove(place)
        raise
    return place


def _make_place(path: Path, target: Path | None) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if target is None:
        path.mkdir(exist_ok=True)
    else:
        path.symlink_to(target)


def _remove(place: Place) -> None:
    place.close()
    shutil.rmtree(place.root, ignore_errors=True)


def _command(plan: TestPlan, place: Place, limits: Limits) -> Command:
    folders = [
        str(plan.interpreter.parent),
        *(f"{path}/bin" for path in plan.read),
        "/usr/local/bin",
        "/usr/bin",
        "/bin",
    ]
    env = {"PATH": ":".join(dict.fromkeys(folders)), "PYTHONDONTWRITEBYTECODE": "1", "CI": "1"}
    if (plan.interpreter.parent.parent / "pyvenv.cfg").is_file():
        env["VIRTUAL_ENV"] = str(plan.interpreter.parent.parent)
    own = {REPORT: str(place.root / place.report_name), ROOT: str(place.root)}
    env |= {name: _filled(value, own) for name, value in plan.env}
    argv = tuple(_filled(word, own) for word in plan.arguments)
    if plan.framework in HARNESSED:
        root = place.root
        # -I: no module of the tree is found before the harness has imported its own.
        argv = (str(plan.interpreter), "-I", "-B", str(root / "harness.py"), str(root / "report"), str(root / "key"))
        # The cache is thrown away with the copy; without the plugin a project's own `--ff` would be an unknown option.
        options = (f"--rootdir={place.work}", "-o", f"cache_dir={root / 'pytest-cache'}")
        options = options if plan.framework == "pytest" else ()
        argv = (*argv, plan.framework, *options, *plan.arguments)
        env[TEST_SECONDS] = f"{limits.test_seconds:g}"
        if "--override-ini=addopts=" in plan.arguments:
            env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
    return Command(argv=argv, tree=place.root, read=plan.read, env=env, cwd=PurePosixPath("work"), limits=limits)


def _filled(word: str, own: Mapping[str, str]) -> str:
    for name, value in own.items():
        word = word.replace(name, value)
    return word
