"""What a role sees of a repository that is too large to be shown whole: the map.

Owns what each map is about (the task's words, files that were named, files of failing tests) and how long it may be.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

from agents.codegen import CODER, PLANNER, RESEARCHER
from infrastructure.config.settings import Settings
from infrastructure.workflow.evidence import load_report
from infrastructure.workflow.lanes import RoleLanes
from infrastructure.workflow.material import FEW_FILES, named_in
from infrastructure.workflow.scope import RunScope
from infrastructure.workflow.values import Baseline
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.mapping.ranking import Focus
from infrastructure.workspace.mapping.rendering import NO_MAP, Map, MapBudget

WINDOW_SHARE = 8
"""A map takes at most this part of the window of a lane that sets one."""


def map_tokens(settings: Settings, lanes: RoleLanes) -> int:
    """How long a map may be: the setting, clipped to a share of the smallest window of the lanes that read one."""
    readers = [settings.lane_of(lanes.of(role.name)) for role in (RESEARCHER, PLANNER, CODER)]
    shares = [lane.num_ctx // WINDOW_SHARE for lane in readers if lane.num_ctx is not None]
    return min([settings.run.map_tokens, *shares])


async def overview(
    scope: RunScope,
    snapshot: Snapshot,
    words: Sequence[str],
    *,
    files: Sequence[str] = (),
    without: Collection[str] = (),
    baseline: Baseline | None = None,
) -> Map:
    """The map for a task; an empty one where there are few files, or it is switched off.

    Args:
        scope: The run's.
        snapshot: The repository.
        words: The task, and what roles have said of it.
        files: Those that matter whatever the words say, beside those that the words name.
        without: Those that are shown whole beside it.
        baseline: The judge; the files of its failing tests count.
    """
    if not _wanted(scope, snapshot):
        return NO_MAP
    task = "\n".join(words)
    focus = Focus(
        task=task,
        files=tuple(dict.fromkeys((*files, *named_in(task, snapshot)))),
        failing=await _failing(scope, baseline),
    )
    return await scope.mapper.overview(snapshot, focus, MapBudget(scope.map_tokens), without=frozenset(without))


async def interfaces(scope: RunScope, snapshot: Snapshot, shown: Sequence[str]) -> Map:
    """What files that are shown whole use of others, as signatures."""
    if not _wanted(scope, snapshot) or not shown:
        return NO_MAP
    return await scope.mapper.interfaces(snapshot, shown, MapBudget(scope.map_tokens))


def _wanted(scope: RunScope, snapshot: Snapshot) -> bool:
    return scope.map_tokens > 0 and len(snapshot.files) > FEW_FILES


async def _failing(scope: RunScope, baseline: Baseline | None) -> tuple[str, ...]:
    if baseline is None or not baseline.report:
        return ()
    report = await load_report(scope.blobs, baseline.report)
    return tuple(sorted({test.partition("::")[0] for test in report.red}))
