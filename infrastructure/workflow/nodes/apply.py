"""`apply`: the coder's changes put on the candidate's files, all or none.

Owns what counts as no change: what leaves every file as it was is told to the model, and is not judged again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Required

from typing_extensions import TypedDict

from agents.answers.edits import Rejected, apply_edits
from agents.codegen.coder import CodeAnswer
from infrastructure.events.catalogue import EditsApplied, EditsRejected
from infrastructure.judge.steering import belongs_to_judge, named_by
from infrastructure.workflow.material import snapshot_of
from infrastructure.workflow.nodes.write import REPLY
from infrastructure.workflow.steps import Step
from infrastructure.workflow.syntax import syntax_error
from infrastructure.workflow.trial import candidate_tree, patch_of
from infrastructure.workflow.values import Baseline, CandidateStart, FileRef
from infrastructure.workspace.errors import WorkspaceError
from infrastructure.workspace.manifest import Snapshot
from infrastructure.workspace.trees import Tree, read_text


class ApplyReads(TypedDict, total=False):
    """The coder's changes, and the files as they are."""

    start: Required[CandidateStart]
    attempt: int
    reply: str
    rejected: str
    unchanged: int
    contents: tuple[FileRef, ...]
    report: str
    reason: str


class ApplyWrites(TypedDict, total=False):
    """The candidate's files after the changes, or why they do not fit."""

    contents: tuple[FileRef, ...]
    patch: str
    rejected: str
    unchanged: int
    outcome: str
    reason: str


_UNCHANGED = " A repair changed nothing."
"""Added to what the tests said of the files, which stand as they were."""


async def apply_node(state: ApplyReads, step: Step) -> ApplyWrites:
    """Apply the changes to the files as the last attempt left them. Nothing on disk is needed to do it again."""
    attempt = state.get("attempt", 1)
    if not state.get("reply"):
        return {"outcome": "failed", "reason": f"no usable answer: {state.get('rejected', '')}"}
    answer = REPLY.validate_json(await step.scope.blobs.get(state.get("reply", "")))
    snapshot = await snapshot_of(step.scope)
    current = await _current(step, snapshot, state.get("contents", ()), answer)
    applied = apply_edits(current, answer)
    if isinstance(applied, Rejected):
        return _rejected(step, attempt, f"{applied.path}: {applied.reason}\n{applied.hint}".strip())
    texts = _without_judge(step, snapshot, state["start"].baseline, applied.contents)
    if not texts:
        return _unchanged(step, state, _as_they_were(state, judged=bool(applied.contents)))
    if unreadable := await asyncio.to_thread(_unreadable, current, texts):
        return _rejected(step, attempt, unreadable)
    return await _changed(step, state, snapshot, texts)


async def _changed(step: Step, state: ApplyReads, snapshot: Snapshot, texts: Mapping[str, str]) -> ApplyWrites:
    attempt = state.get("attempt", 1)
    changed = [FileRef(path, await step.scope.blobs.put(text.encode())) for path, text in texts.items()]
    contents = _merged(state.get("contents", ()), changed)
    try:
        async with candidate_tree(step.scope, snapshot, state["start"].number, contents) as tree:
            patch = await patch_of(step.scope, snapshot, tree)
    except WorkspaceError as error:
        return _rejected(step, attempt, str(error))
    if not patch:
        return _unchanged(step, state, "it puts every file back as it was before the task")
    step.emit(EditsApplied(attempt=attempt, files=tuple(ref.path for ref in changed)))
    return {"contents": contents, "patch": patch, "rejected": "", "unchanged": 0}


def _rejected(step: Step, attempt: int, reason: str) -> ApplyWrites:
    step.emit(EditsRejected(attempt=attempt, reason=reason))
    return {"rejected": reason, "outcome": "failed", "reason": f"the changes do not fit: {reason}"}


def _unchanged(step: Step, state: ApplyReads, how: str) -> ApplyWrites:
    """The files stay as the last try left them, and so does what the tests said of them."""
    step.emit(EditsRejected(attempt=state.get("attempt", 1), reason=f"it changed nothing: {how}"))
    reason = "The answer changed nothing."
    if state.get("report"):
        reason = state.get("reason", "").removesuffix(_UNCHANGED) + _UNCHANGED
    return {
        "rejected": f"it changes nothing: {how}. The task is not solved yet; change what it asks for.",
        "unchanged": state.get("unchanged", 0) + 1,
        "outcome": "failed",
        "reason": reason,
    }


def _as_they_were(state: ApplyReads, *, judged: bool) -> str:
    if judged:
        return "tests that judge this run stay as they are, and it changes no other file"
    return "every file is as the last try left it" if state.get("contents") else "every file is as it was"


def _without_judge(step: Step, snapshot: Snapshot, baseline: Baseline, contents: Mapping[str, str]) -> dict[str, str]:
    """Tests that were there judge the candidate, so it may add some but not change them."""
    given = {ref.path for ref in baseline.given} | named_by(baseline.command)
    judged = [path for path in contents if path in snapshot.files and (path in given or belongs_to_judge(path))]
    for path in judged:
        step.note(f"{path} judges this run; the change of it was left out")
    return {path: text for path, text in contents.items() if path not in judged}


def _unreadable(current: Mapping[str, str], texts: Mapping[str, str]) -> str:
    problems = {path: syntax_error(path, current.get(path), text) for path, text in texts.items()}
    return "\n".join(f"{path}: {problem}" for path, problem in problems.items() if problem)


async def _current(step: Step, snapshot: Snapshot, contents: tuple[FileRef, ...], answer: CodeAnswer) -> dict[str, str]:
    """The texts of the snapshot's files that the answer may name, with the candidate's own on top."""
    texts: dict[str, str] = {}
    named = {change.path for change in answer}
    folded = {each.casefold() for each in named}
    for path in snapshot.files:
        if path in named or path.casefold() in folded:
            try:
                texts[path] = await read_text(Tree(snapshot.root), path)
            except WorkspaceError:
                continue
    for ref in contents:
        if ref.sha is not None:
            texts[ref.path] = (await step.scope.blobs.get(ref.sha)).decode()
    return texts


def _merged(before: tuple[FileRef, ...], changed: list[FileRef]) -> tuple[FileRef, ...]:
    merged = {ref.path: ref for ref in (*before, *changed)}
    return tuple(merged[path] for path in sorted(merged))
