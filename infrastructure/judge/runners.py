"""Test runners of other languages: which the repository uses, and how one is asked for a report of each test.

Owns the customs: `npm test`, `node --test`, `go test ./...`, `cargo test`, `make test`. A command that is known is
started so that it tells every test apart; one that is not has one outcome, by its exit code. Looks at files and runs
nothing; nothing is fetched from a network, which tests do not have. Blocking.
"""

import json
import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal, cast

from infrastructure.workspace import Snapshot
from infrastructure.workspace.beneath import LINK, read_file

REPORT = "{report}"
"""In a command: the file that the runner is to write its report to, JUnit's XML or the JSON of jest."""
ROOT = "{place}"
"""In a variable: the throw-away folder of this run."""

_SHELL_SIGNS = re.compile(r"[|&;<>`$*?~\n]")
_WORD = re.compile(r"[\w.-]+")
_PACKAGERS = frozenset({"npm", "yarn", "pnpm"})
_NO_TESTS = "no test specified"
_MAKEFILES = ("GNUmakefile", "makefile", "Makefile")
_SPEAKING = frozenset({*_MAKEFILES, "package.json"})
_SCRIPT_PATH = re.compile(rb"[\w./-]+\.(?:sh|bash)\b")
_TEST_TARGET = re.compile(rb"^test\s*:(?!=)", re.MULTILINE)
_TO_FILE = ("sh", "-c", 'exec "$@" > "$0"', REPORT)
_MANIFEST_BYTES = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """How a command is started so that each test is told apart.

    Attributes:
        framework: By what its report is read.
        arguments: The command, with places for what is only known when it runs.
        program: What is started, for finding out where it is installed.
        env: Further variables.
        read: Absolute paths it may read besides.
        places: Folders made for this run, below its root; with a target, links to it.
    """

    framework: Literal["report", "go", "cargo"]
    arguments: tuple[str, ...]
    program: str
    env: tuple[tuple[str, str], ...] = ()
    read: tuple[Path, ...] = ()
    places: tuple[tuple[str, Path | None], ...] = ()


def customary(snapshot: Snapshot) -> str:
    """The command by which the repository's tests are run, as a person would type it; empty where none is known."""
    if "package.json" in snapshot.files and _script(snapshot, "test"):
        return "npm test"
    if "go.mod" in snapshot.files and any(path.endswith("_test.go") for path in snapshot.files):
        return "go test ./..."
    if "Cargo.toml" in snapshot.files:
        return "cargo test"
    makefile = next((name for name in _MAKEFILES if name in snapshot.files), "")
    return "make test" if makefile and _TEST_TARGET.search(_content(snapshot, makefile)) else ""


def scripts_in(snapshot: Snapshot, named: frozenset[str]) -> frozenset[str]:
    """The shell scripts that a Makefile or package.json among these files speaks of: a test is what they do."""
    found: set[str] = set()
    for path in named & _SPEAKING & snapshot.files.keys():
        words = _SCRIPT_PATH.findall(_content(snapshot, path))
        found.update(word.decode("utf-8", "replace").removeprefix("./") for word in words)
    return frozenset(found & snapshot.files.keys())


def known_runner(words: tuple[str, ...], snapshot: Snapshot) -> Runner | None:
    """How a command is asked for a report; None for one that is not known, or gives none."""
    program, *rest = words
    name = PurePosixPath(program).name
    if any(REPORT in word for word in words):
        return Runner(framework="report", arguments=words, program=program)
    if name in _PACKAGERS:
        return _script_runner(words, snapshot)
    if name == "npx" and rest and not rest[0].startswith("-"):
        return _node_tool(rest[0], tuple(rest[1:]), snapshot)
    if name == "node" and "--test" in rest:
        return _node(words)
    if name in {"go", "gotestsum"}:
        return _go_test(words)
    if name == "cargo" and words[1:2] in {("test",), ("t",)}:
        return _cargo(words)
    return _node_tool(program, tuple(rest), snapshot)


def tools_named(words: tuple[str, ...], snapshot: Snapshot) -> tuple[Runner, ...]:
    """What a shell's command or a Makefile may start further on, where that is not the system's: as it would be run."""
    text = " ".join(words)
    if PurePosixPath(words[0]).name == "make":
        text += "".join(_content(snapshot, name).decode("utf-8", "replace") for name in _MAKEFILES)
    said = set(_WORD.findall(text))
    found = [_cargo(("cargo", "test"))] if "cargo" in said else []
    return (*found, *((_go(("go", "test"), "go"),) if "go" in said else ()))


# ------------------------------------------------------------------------------------------------ node
def _node(words: tuple[str, ...]) -> Runner | None:
    if any("--test-reporter" in word for word in words):
        return None  # it has a wish of its own
    at = words.index("--test") + 1
    options = ("--test-reporter=junit", f"--test-reporter-destination={REPORT}")
    return Runner(framework="report", arguments=(*words[:at], *options, *words[at:]), program="node")


def _script_runner(words: tuple[str, ...], snapshot: Snapshot) -> Runner | None:
    rest = words[2:] if words[1:2] in {("test",), ("t",)} else words[3:] if words[1:3] == ("run", "test") else None
    script = _script(snapshot, "test")
    if rest is None or not script or _SHELL_SIGNS.search(script):
        return None
    if any(_script(snapshot, name) for name in ("pretest", "posttest")):
        return None  # what they do is part of the test
    try:
        inner = shlex.split(script)
    except ValueError:
        return None
    if not inner or "=" in inner[0]:
        return None
    return known_runner((*inner, *(word for word in rest if word != "--")), snapshot)


def _node_tool(tool: str, rest: tuple[str, ...], snapshot: Snapshot) -> Runner | None:
    name = PurePosixPath(tool).name
    if any(word.startswith(("--reporter", "--outputFile", "--json", "--watch")) for word in rest):
        return None  # it has a wish of its own
    options = {
        "jest": (*(word for word in rest if word != "--ci"), "--ci", "--json", f"--outputFile={REPORT}"),
        "vitest": ("run", *(word for word in rest if word != "run"), "--reporter=json", f"--outputFile={REPORT}"),
        "mocha": (*rest, "--reporter", "xunit", "--reporter-option", f"output={REPORT}"),
    }.get(name)
    program = f"node_modules/.bin/{name}"
    if options is None or not (snapshot.repo / program).exists():
        return None
    return Runner(framework="report", arguments=(program, *options), program="node")


def _script(snapshot: Snapshot, name: str) -> str:
    """A script of package.json; empty where there is none, or only npm's own stand-in."""
    try:
        manifest: object = json.loads(_content(snapshot, "package.json") or b"{}")
    except (ValueError, RecursionError):
        return ""
    scripts = cast("dict[str, object]", manifest).get("scripts") if isinstance(manifest, dict) else None
    script = cast("dict[str, object]", scripts).get(name) if isinstance(scripts, dict) else None
    return script if isinstance(script, str) and _NO_TESTS not in script else ""


# ------------------------------------------------------------------------------------------- Go and Rust
def _go_test(words: tuple[str, ...]) -> Runner | None:
    program, *rest = words
    if PurePosixPath(program).name == "gotestsum":
        told = any(word.startswith("--junitfile") for word in rest)
        return None if told else _go((program, f"--junitfile={REPORT}", *rest), "report")
    if rest[:1] != ["test"]:
        return None
    options = () if "-json" in rest else ("-json",)
    return _go((*_TO_FILE, program, "test", *options, *rest[1:]), "go")


def _go(arguments: tuple[str, ...], framework: Literal["report", "go"]) -> Runner:
    """Modules come from `vendor` or from the user's module cache, and so does what was built before: both read-only."""
    home = Path.home()
    modules = Path(os.environ.get("GOMODCACHE") or Path(os.environ.get("GOPATH") or home / "go") / "pkg" / "mod")
    built = Path(os.environ.get("GOCACHE") or home / ".cache" / "go-build")
    env = {
        "GOPROXY": "off",
        "GOTOOLCHAIN": "local",
        "GOFLAGS": "-buildvcs=false",
        "GODEBUG": "goindex=0",  # else it writes an index of each package beside what was built, and fails
        "GOCACHE": str(built) if built.is_dir() else f"{ROOT}/go-build",
        "GOPATH": f"{ROOT}/go",
    }
    if modules.is_dir():
        env["GOMODCACHE"] = str(modules)
    return Runner(
        framework=framework,
        arguments=arguments,
        program="go",
        env=tuple(env.items()),
        read=tuple(path for path in (modules, built) if path.is_dir()),
    )


def _cargo(words: tuple[str, ...]) -> Runner:
    """Crates come from `vendor` or from the user's registry, which is seen read-only."""
    home = Path(os.environ.get("CARGO_HOME") or Path.home() / ".cargo")
    at = words.index("--") if "--" in words else len(words)
    options = [option for option in ("--offline", "--no-fail-fast") if option not in words]
    program, read = _rust_program(words[0])
    shared = [home / name for name in ("registry", "git") if (home / name).is_dir()]
    return Runner(
        framework="cargo",
        arguments=(*_TO_FILE, program, *words[1:at], *options, *words[at:]),
        program=program,
        env=(("CARGO_HOME", f"{ROOT}/cargo"), ("CARGO_TERM_COLOR", "never"), ("RUST_BACKTRACE", "0")),
        read=(*read, *shared),
        places=(("cargo", None), *((f"cargo/{path.name}", path) for path in shared)),
    )


def _rust_program(word: str) -> tuple[str, tuple[Path, ...]]:
    """The cargo of rustup's toolchain, where rustup's stand-in would be found: that writes to a folder of its own."""
    found = shutil.which(word)
    rustup = Path(os.environ.get("RUSTUP_HOME") or Path.home() / ".rustup")
    if found is None or "/" in word or not (rustup / "toolchains").is_dir():
        return word, ()
    named = re.search(r'^default_toolchain\s*=\s*"([\w.+-]+)"', _text(rustup / "settings.toml"), re.MULTILINE)
    toolchains = sorted((rustup / "toolchains").iterdir())
    default = [each for each in toolchains if named is not None and each.name == named[1]]
    for toolchain in (*default, *toolchains):
        if (toolchain / "bin" / "cargo").is_file():
            return str(toolchain / "bin" / "cargo"), (toolchain,)
    return word, ()


def _text(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except OSError:
        return ""


def _content(snapshot: Snapshot, path: str) -> bytes:
    state = snapshot.files.get(path)
    if state is None or state.mode == LINK or state.size > _MANIFEST_BYTES:
        return b""
    return read_file(snapshot.root, path)
