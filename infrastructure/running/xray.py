"""What a model got to read in each call of a run, and what was kept from it: the X-ray.

Owns its stored form, beside the recorded call, and the view of a call that readers show. Fields are only ever added,
with a default: calls that were recorded before there was an X-ray show what is known of them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime

from pydantic import BaseModel, ConfigDict

from infrastructure.storage.calls import RecordedCall
from infrastructure.workflow.ports import Answered

_FROZEN = ConfigDict(frozen=True)


class SectionXRay(BaseModel):
    """A named stretch of the prompt, in the order of the prompt."""

    model_config = _FROZEN

    name: str
    tokens: int
    """By our own estimate; of all sections together it is `estimated_tokens`."""
    characters: int


class TrimXRay(BaseModel):
    """A part that was cut before the prompt was sent."""

    model_config = _FROZEN

    section: str
    part: str
    """The field of the role's question."""
    rule: str
    before: int
    after: int
    unit: str
    """pieces · characters (of the longest text)."""
    gone: tuple[str, ...] = ()
    """The first of the pieces that were left out."""


class PromptXRay(BaseModel):
    """What was sent, and what it took."""

    model_config = _FROZEN

    window: int | None = None
    """Tokens, of prompt and answer together, on the server that answered; null where nobody said."""
    budget_window: int | None = None
    """The window that the prompt was made to fit; null where it was sent as it was."""
    estimated_tokens: int = 0
    answer_limit: int | None = None
    """The most tokens of the answer that were asked for."""
    cached_tokens: int = 0
    """Of the prompt, that the server had in its cache; an estimate."""
    refusals: int = 0
    """How often a server said that the prompt is too long, so that it was made smaller."""
    doubted: bool = False
    """The server counted far fewer tokens than the prompt has."""
    queued_seconds: float = 0.0
    load_seconds: float = 0.0
    prompt_seconds: float = 0.0
    decode_seconds: float = 0.0
    sections: tuple[SectionXRay, ...] = ()
    trims: tuple[TrimXRay, ...] = ()


class CallXRay(BaseModel):
    """A call of a run."""

    model_config = _FROZEN

    number: int
    """From 1, in the order in which answers were recorded."""
    step: str
    ordinal: int
    role: str
    model: str
    server: str
    started: datetime
    ended: datetime
    prompt_tokens: int
    """As the server counted them, like the next."""
    completion_tokens: int
    finish: str
    prompt: PromptXRay | None
    """Null for a call that was recorded before there was an X-ray."""


class MessageXRay(BaseModel):
    """A message as the model got it."""

    model_config = _FROZEN

    role: str
    content: str


def dump_xray(answered: Answered) -> str:
    """The stored form; empty where it is not known what was sent."""
    sent = answered.sent
    if sent is None:
        return ""
    return PromptXRay(
        window=answered.window,
        budget_window=None if sent.room is None else sent.room.window,
        estimated_tokens=sent.fitted.tokens,
        answer_limit=sent.fitted.answer if answered.num_predict is None else answered.num_predict,
        cached_tokens=answered.cached_tokens,
        refusals=sent.refusals,
        doubted=answered.doubted,
        queued_seconds=answered.queued_seconds,
        load_seconds=answered.load_seconds,
        prompt_seconds=answered.prompt_seconds,
        decode_seconds=answered.decode_seconds,
        sections=tuple(
            SectionXRay(name=section.name, tokens=section.tokens, characters=len(section.text))
            for section in sent.fitted.sections
        ),
        trims=tuple(
            TrimXRay(
                section=cut.section,
                part=cut.part,
                rule=cut.rule,
                before=cut.before,
                after=cut.after,
                unit=cut.unit,
                gone=tuple(map(_printable, cut.gone)),
            )
            for cut in sent.fitted.trimmed
        ),
    ).model_dump_json()


def xray_of(calls: Sequence[RecordedCall]) -> tuple[CallXRay, ...]:
    """The calls of a run, in the order in which their answers were recorded."""
    return tuple(_call(number, call) for number, call in enumerate(calls, 1))


def messages_of(request: bytes) -> tuple[MessageXRay, ...]:
    """The messages of a stored request: the exact text that the model got."""
    stored = json.loads(request)
    return tuple(MessageXRay(role=each["role"], content=_printable(each["content"])) for each in stored["messages"])


def _call(number: int, call: RecordedCall) -> CallXRay:
    return CallXRay(
        number=number,
        step=call.step,
        ordinal=call.ordinal,
        role=call.role,
        model=call.model,
        server=call.server,
        started=call.started,
        ended=call.ended,
        prompt_tokens=call.prompt_tokens,
        completion_tokens=call.completion_tokens,
        finish=str(json.loads(call.answer_json).get("finish", "")),
        prompt=PromptXRay.model_validate_json(call.xray_json) if call.xray_json else None,
    )


def _printable(text: str) -> str:
    """Half characters of odd file names as question marks: JSON cannot say them."""
    return text.encode("utf-8", "replace").decode("utf-8")
