"""`apply`: the coder's changes put on the candidate's files, all or none.

Owns what counts as no change: what leaves every file as it was is told to the model, and is not judged again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Mapping, Sequence
from typing import Required

from typing_extensions import TypedDict

from agents.answers.edits import Applied, Rejected, apply_edits
from agents.answers.paths import folded
from agents.codegen import EditFormat
from agents.codegen.coder import CodeAnswer
from infrastructure.events.catalogue import EditsApplied, EditsRejected
from infrastructure.judge.belonging import frozen, lent
from infrastructure.judge.red import red_tests, red_text
from infrastructure.judge.steering import belongs_to_judge, named_by
from infrastructure.workflow.evidence import maybe_report
from infrastructure.workflow.material import snapshot_of
from infrastructure.workflow.mending import mended
from infrastructure.workflow.nodes.write import REPLY
from infrastructure.workflow.steps import Step
from infrastructure.workflow.stuck import PATCH_AGAIN, TOLD, patch_told, slip_told, useless_mark, with_patch, with_slip
from infrastructure.workflow.syntax import syntax_error, undefined
from infrastructure.workflow.trial import candidate_tree, patch_of
from infrastructure.workflow.values import Attempt, Baseline, CandidateStart, FileRef, PastTry
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
    kept: Attempt
    past: Sequence[PastTry]
    repeated: int
    edit_format: EditFormat
    malformed: Sequence[EditFormat]
    shown: Sequence[str]
    unseen: Sequence[str]


class ApplyWrites(TypedDict, total=False):
    """The candidate's files after the changes, or why they do not fit."""

    contents: tuple[FileRef, ...]
    patch: str
    rejected: str
    unchanged: int
    outcome: str
    reason: str
    past: Sequence[PastTry]
    repeated: int
    malformed: Sequence[EditFormat]
    unseen: Sequence[str]


_SHOWN_RED = 5
_LEAVE_IT = (
    "Leave this file out of your answer and solve the task in others; new text goes into a file of another name."
)
_EXAMPLE = "{}: a block that only a sentence or a comment names was taken for an example and left out"
_UNCHANGED = " A repair changed nothing."
"""Added to what the tests said of the files, which stand as they were."""


async def apply_node(state: ApplyReads, step: Step) -> ApplyWrites:
    """Apply the changes to the files as the last attempt left them. Nothing on disk is needed to do it again."""
    attempt = state.get("attempt", 1)
    if not state.get("reply"):
        said = state.get("rejected", "")
        return {**_useless(state, said), "outcome": "failed", "reason": f"no usable answer: {said}"}
    answer = REPLY.validate_json(await step.scope.blobs.get(state.get("reply", "")))
    snapshot = await snapshot_of(step.scope)
    current = await _current(step, snapshot, state.get("contents", ()), answer)
    if isinstance(current, Rejected):
        return _rejected(step, state, f"{current.path}: {current.reason}\n{current.hint}")
    applied = await _applied(state, snapshot, current, answer)
    if isinstance(applied, Rejected):
        return _misfit(step, state, applied)
    texts = await _without_judge(step, snapshot, state["start"].baseline, applied.contents)
    texts, notes = await asyncio.to_thread(_mended, tuple(snapshot.files), current, texts)
    for note in (*map(_EXAMPLE.format, applied.passed_over), *notes):
        step.note(note)
    if not texts:
        return _unchanged(step, state, _as_they_were(state, judged=bool(applied.contents)))
    last = attempt > state["start"].repairs or state.get("repeated", 0) >= TOLD
    if unusable := await asyncio.to_thread(_unusable, current, texts, last=last):
        return _rejected(step, state, unusable)
    return await _changed(step, state, snapshot, texts)


async def _applied(
    state: ApplyReads, snapshot: Snapshot, current: Mapping[str, str], answer: CodeAnswer
) -> Applied | Rejected:
    """The coder may replace what it was shown, and its own files; tests too, whose change is left out anyway."""
    start, seen = state["start"], None
    if "shown" in state:
        own = {ref.path for ref in state.get("contents", ())}
        judged = set(filter(belongs_to_judge, current))
        judged -= await asyncio.to_thread(lent, snapshot) if judged else set()
        seen = {*state["shown"], *own, *judged, *_given(start.baseline)}
    return await asyncio.to_thread(apply_edits, current, answer, shown=seen, planned=start.plan.files)


def _misfit(step: Step, state: ApplyReads, applied: Rejected) -> ApplyWrites:
    """The answer does not fit; if that is because a file was not shown, its form is as good as any."""
    form = state.get("edit_format", "whole")
    said = f"{applied.path}: {applied.reason}\n{applied.hint}".strip()
    if applied.unseen:
        unseen = tuple(dict.fromkeys((*state.get("unseen", ()), *applied.unseen)))
        return {**_rejected(step, state, said), "unseen": unseen}
    return {**_rejected(step, state, said, form), "malformed": (*state.get("malformed", ()), form)}


async def _changed(step: Step, state: ApplyReads, snapshot: Snapshot, texts: Mapping[str, str | None]) -> ApplyWrites:
    attempt = state.get("attempt", 1)
    changed = [FileRef(path, await _stored(step, text)) for path, text in texts.items()]
    contents = _merged(state.get("contents", ()), changed)
    try:
        async with candidate_tree(step.scope, snapshot, state["start"].number, contents) as tree:
            patch, paths = await patch_of(step.scope, snapshot, tree)
    except WorkspaceError as error:
        return _rejected(step, state, str(error))
    if not patch:
        return _unchanged(step, state, "it puts every file back as it was before the task")
    if before := with_patch(state.get("past", ()), patch):
        return await _again(step, state, before)
    files = tuple(ref.path for ref in changed)
    step.emit(EditsApplied(attempt=attempt, files=files, edit_format=state.get("edit_format", "whole")))
    contents = tuple(ref for ref in contents if ref.path in paths)  # what was put back is as in the snapshot
    return {"contents": contents, "patch": patch, "rejected": "", "unchanged": 0}


async def _stored(step: Step, text: str | None) -> str | None:
    return None if text is None else await step.scope.blobs.put(text.encode())


def _rejected(step: Step, state: ApplyReads, reason: str, malformed_as: str = "") -> ApplyWrites:
    step.emit(EditsRejected(attempt=state.get("attempt", 1), reason=reason, malformed_as=malformed_as))
    return {**_useless(state, reason), "outcome": "failed", "reason": f"the changes do not fit: {reason}"}


def _useless(state: ApplyReads, reason: str) -> ApplyWrites:
    """The answer among those before it: the same slip twice is told as that."""
    past, mark = state.get("past", ()), useless_mark(reason)
    before = with_slip(past, mark)
    return {
        "rejected": reason if before is None else f"{reason}\n{slip_told(before)}",
        "past": (*past, PastTry(attempt=state.get("attempt", 1), useless=mark)),
        "repeated": state.get("repeated", 0) + (before is not None),
    }


async def _again(step: Step, state: ApplyReads, before: PastTry) -> ApplyWrites:
    """A patch that has failed is not tried again, and the files stay as the best try left them."""
    red = red_tests(await maybe_report(step.scope.blobs, before.report))
    told = patch_told(before, red_text(red, _SHOWN_RED))
    step.emit(EditsRejected(attempt=state.get("attempt", 1), reason=told))
    reason = state["kept"].reason if "kept" in state else state.get("reason", "")
    return {
        "rejected": told,
        "repeated": state.get("repeated", 0) + 1,
        "outcome": "failed",
        "reason": reason + PATCH_AGAIN,
    }


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


async def _without_judge(
    step: Step, snapshot: Snapshot, baseline: Baseline, contents: Mapping[str, str | None]
) -> dict[str, str | None]:
    """Tests that were there judge the candidate, so it may add some but not change them."""
    judged = await asyncio.to_thread(frozen, snapshot, contents, _given(baseline))
    for path in judged:
        step.note(f"{path} judges this run; the change of it was left out")
    return {path: text for path, text in contents.items() if path not in judged}


def _given(baseline: Baseline) -> set[str]:
    return {ref.path for ref in baseline.given} | named_by(baseline.command)


def _mended(
    project: Collection[str], current: Mapping[str, str], texts: Mapping[str, str | None]
) -> tuple[dict[str, str | None], tuple[str, ...]]:
    """Small faults of the changed files put right, and what was done; what is then as it was is no change."""
    result: dict[str, str | None] = {}
    notes: list[str] = []
    for path, text in texts.items():
        result[path] = text
        if text is not None:
            found = mended(path, current.get(path), text, project)
            result[path] = found.text
            notes += [f"mended {path}: {'; '.join(found.notes)}"] if found.notes else []
    return {path: text for path, text in result.items() if text != current.get(path)}, tuple(notes)


def _unusable(current: Mapping[str, str], texts: Mapping[str, str | None], *, last: bool) -> str:
    """Why files cannot be read or use names that they do not have; names are left to the tests in the last try."""
    said: list[str] = []
    for path, text in texts.items():
        if text is None:
            continue
        before = current.get(path)
        if problem := syntax_error(path, before, text):
            said.append(f"{path}: {problem}")
        elif not last:
            said += [f"{path}: {each}" for each in undefined(path, before, text)]
    return "\n".join(said)


async def _current(
    step: Step, snapshot: Snapshot, contents: tuple[FileRef, ...], answer: CodeAnswer
) -> dict[str, str] | Rejected:
    """The texts of the snapshot's files that the answer may name, with the candidate's own on top.

    A file that is there and cannot be read as text is none that an answer can change: taken for a new one, it would be
    overwritten in the tree and lacking in the patch.
    """
    texts: dict[str, str] = {}
    named = {folded(change.path) for change in answer}
    for path in snapshot.files:
        if folded(path) in named:
            try:
                texts[path] = await read_text(Tree(snapshot.root), path)
            except WorkspaceError as error:
                return Rejected(path, f"is there, and no answer can change or delete it: {error}", _LEAVE_IT)
    for ref in contents:
        if ref.sha is None:
            texts.pop(ref.path, None)
        else:
            texts[ref.path] = (await step.scope.blobs.get(ref.sha)).decode()
    return texts


def _merged(before: tuple[FileRef, ...], changed: list[FileRef]) -> tuple[FileRef, ...]:
    merged = {ref.path: ref for ref in (*before, *changed)}
    return tuple(merged[path] for path in sorted(merged))
