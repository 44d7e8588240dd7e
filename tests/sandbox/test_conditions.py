"""How executions share the machine: groups that are made, refused and removed."""

import asyncio
import os
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from infrastructure.sandbox import Level, Limits, SandboxFault, conditions
from infrastructure.sandbox.cgroups import CgroupHome
from infrastructure.sandbox.conditions import Conditions, made, usable_cgroups


@pytest.fixture
def no_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions.os, "geteuid", lambda: 1000)


def test_by_what_memory_is_bounded_is_said(no_root: None, tmp_path: Path) -> None:
    (with_group,) = Conditions(cgroups=CgroupHome(2, (tmp_path,))).checks()
    (without,) = Conditions().checks()

    assert "a cgroup (version 2)" in with_group.note
    assert "no cgroup can be made here" in without.note


def test_running_as_root_is_said_and_is_no_obstacle(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions.os, "geteuid", lambda: 0)
    _, root = Conditions().checks()

    assert (root.name, root.held, root.needed) == ("Corral is not root", False, False)


async def test_a_group_that_cannot_be_made_is_a_fault_not_a_weaker_run(tmp_path: Path) -> None:
    place = Conditions(cgroups=CgroupHome(2, (tmp_path,))).place(Level.BUBBLEWRAP, tmp_path, Limits())

    with pytest.raises(SandboxFault, match="no cgroup could be made"):
        async with place:
            raise AssertionError("entered")


async def test_where_no_group_can_be_made_there_is_none_to_use(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conditions, "homes", lambda: iter([CgroupHome(2, (tmp_path,)), CgroupHome(1, (tmp_path,))]))

    assert await usable_cgroups() is None


async def test_what_is_made_while_we_are_cancelled_is_removed() -> None:
    begun, go_on = threading.Event(), threading.Event()
    removed: list[str] = []

    def make() -> str:
        begun.set()
        go_on.wait(10)
        return "made"

    async def remove(thing: str) -> None:
        removed.append(thing)

    making = asyncio.create_task(made(make, remove))
    await asyncio.to_thread(begun.wait, 10)
    making.cancel()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await making

    assert removed == ["made"]


def test_a_specification_is_handed_over_by_a_python_without_files_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not every Python that is downloaded ready has them."""
    monkeypatch.delattr(conditions.os, "memfd_create", raising=False)
    with ExitStack() as stack:
        descriptor = conditions.memory_file(stack, b"given")
        with os.fdopen(os.dup(descriptor), "rb") as file:
            assert file.read() == b"given"
