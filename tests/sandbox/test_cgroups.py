"""Where cgroups can be made, read from what the kernel shows; version 2 on a copy of its folders."""

import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from infrastructure.sandbox import Limits
from infrastructure.sandbox.cgroups import Cgroup, CgroupHome, homes

LIMITS = Limits(memory_bytes=64 << 20, processes=10)


def version_2(root: Path, own: str, *, switched_on: str) -> Path:
    """A version 2 hierarchy in which we are in the group `own`; its folder."""
    here = root / own
    here.mkdir(parents=True)
    (root / "cgroup.controllers").write_text("cpu memory pids")
    for folder in (here, here.parent):
        (folder / "cgroup.subtree_control").write_text("")
    (here.parent / "cgroup.subtree_control").write_text(switched_on)
    (root / "own").write_text(f"0::/{own}\n")
    return here


def test_in_version_2_a_group_is_made_beside_ours_where_memory_is_switched_on(tmp_path: Path) -> None:
    here = version_2(tmp_path, "user.slice/app.slice/terminal.scope", switched_on="memory pids")

    assert list(homes(tmp_path, tmp_path / "own")) == [CgroupHome(2, (here.parent,))]


def test_in_version_2_nothing_is_switched_on_by_us(tmp_path: Path) -> None:
    here = version_2(tmp_path, "user.slice/session-1.scope", switched_on="pids")

    assert list(homes(tmp_path, tmp_path / "own")) == []
    assert (here.parent / "cgroup.subtree_control").read_text() == "pids"


def test_in_version_1_both_hierarchies_are_needed(tmp_path: Path) -> None:
    own = tmp_path / "own"
    own.write_text("8:pids:/\n4:memory:/made/here\n1:name=systemd:/\n")
    assert list(homes(tmp_path, own)) == [CgroupHome(1, (tmp_path / "memory/made/here", tmp_path / "pids"))]

    own.write_text("4:memory:/made/here\n")
    assert list(homes(tmp_path, own)) == []


def test_a_system_without_cgroups_has_no_place(tmp_path: Path) -> None:
    assert list(homes(tmp_path, tmp_path / "missing")) == []


class Version2Folder:
    """What the kernel does on mkdir in a version 2 folder: the files appear."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        make = Path.mkdir

        def mkdir(path: Path, *arguments: object, **options: object) -> None:
            make(path)
            for name in ("memory.max", "memory.swap.max", "pids.max", "cgroup.procs"):
                (path / name).write_text("")
            (path / "memory.events").write_text("low 0\nhigh 0\nmax 0\noom 0\noom_kill 0\n")

        monkeypatch.setattr(Path, "mkdir", mkdir)


def test_a_version_2_group_gets_its_limits_and_no_swap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Version2Folder(monkeypatch)
    group = CgroupHome(2, (tmp_path,)).make(LIMITS)

    (folder,) = group.folders
    read = {name: (folder / name).read_text().strip() for name in ("memory.max", "memory.swap.max", "pids.max")}
    assert read == {"memory.max": str(64 << 20), "memory.swap.max": "0", "pids.max": "18"}
    assert not group.out_of_memory()

    (folder / "memory.events").write_text("low 0\nhigh 0\nmax 9\noom 1\noom_kill 2\n")
    assert group.out_of_memory()


def test_a_group_whose_limits_are_refused_is_not_left_behind(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):  # an ordinary folder has no memory.max
        CgroupHome(2, (tmp_path,)).make(LIMITS)

    assert list(tmp_path.iterdir()) == []


def test_joining_comes_before_the_command_and_its_failure_prevents_it(tmp_path: Path) -> None:
    group = Cgroup(1, (tmp_path / "a b", tmp_path / "c"))

    assert group.joined(("run", "it")) == (
        "/bin/sh",
        "-c",
        f"echo 0 > '{tmp_path}/a b/cgroup.procs' && echo 0 > {tmp_path}/c/cgroup.procs && exec \"$@\"",
        "sh",
        "run",
        "it",
    )


def test_groups_of_the_dead_are_swept_and_those_of_the_living_are_not(tmp_path: Path) -> None:
    for name in ("corral-1-7", "corral-999999999-1", "corral-notes", "other"):
        (tmp_path / name).mkdir()
    CgroupHome(2, (tmp_path,)).sweep()

    assert sorted(path.name for path in tmp_path.iterdir()) == ["corral-1-7", "corral-notes", "other"]


def test_removing_kills_the_members_we_can_see_and_never_number_0(tmp_path: Path) -> None:
    member = subprocess.Popen(["sleep", "600"], start_new_session=True)
    (tmp_path / "cgroup.procs").write_text(f"0\n{member.pid}\n")
    Cgroup(2, (tmp_path,)).remove()

    assert member.wait(10) == -9


def test_a_group_with_members_says_that_it_is_not_gone_yet(tmp_path: Path) -> None:
    (tmp_path / "cgroup.procs").write_text("0\n")  # an ordinary folder with a file cannot be removed either

    assert not Cgroup(2, (tmp_path,)).remove()
    assert Cgroup(2, (tmp_path / "missing",)).remove()


def test_groups_of_one_process_have_names_of_their_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Version2Folder(monkeypatch)
    home = CgroupHome(2, (tmp_path,))

    assert home.make(LIMITS).folders != home.make(replace(LIMITS, processes=1)).folders
