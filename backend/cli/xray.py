"""`corral xray`: what the model got in each call of a run, and what was kept from it."""

import asyncio
from collections.abc import Sequence
from typing import Annotated

from cyclopts import Parameter

from backend.cli.console import Terminal, open_terminal
from backend.cli.errors import Refused
from backend.cli.options import NO_OPTIONS, Common, Document, RunArgument, settings_of
from backend.cli.reading import open_run
from backend.readers import Readers
from infrastructure.ids import RunId
from infrastructure.running.xray import CallXRay, PromptXRay, TrimXRay, messages_of, xray_of
from infrastructure.storage.calls import RecordedCall

_COLUMNS = ("call", "role", "step", "server", "window", "sent", "counted", "cached", "answer", "limit", "cut")
_NUMBERS = frozenset({"call", "window", "sent", "counted", "cached", "answer", "limit"})
_UNKNOWN = "–"
_GONE_SHOWN = 8


def xray(
    run: RunArgument,
    /,
    *,
    call: Annotated[
        int | None, Parameter(help="Only this call: its sections and the exact text the model got.")
    ] = None,
    output: Document = "text",
    common: Common = NO_OPTIONS,
) -> int:
    """Show what the model got in each call of a run, and what was cut of it.

    In tokens: `sent` by Corral's own estimate, `counted` by the server, of which `cached` were in its cache (an
    estimate); `limit` is the most that the answer could take.
    """
    asyncio.run(_xray(run, call, common, open_terminal(), as_document=output != "text"))
    return 0


async def _xray(asked: str, number: int | None, common: Common, terminal: Terminal, *, as_document: bool) -> None:
    async with open_run(settings_of(common), asked) as (readers, record):
        calls = await readers.calls.of_run(record.run)
        if number is not None:
            await _one(readers, record.run, calls, number, terminal, as_document=as_document)
        elif as_document:
            terminal.data({"run": record.run, "calls": [each.model_dump(mode="json") for each in xray_of(calls)]})
        elif calls:
            for line in _table(xray_of(calls)):
                terminal.print_data(line)
        else:
            terminal.say(f"run {record.run} has asked no model yet")


async def _one(
    readers: Readers, run: RunId, calls: Sequence[RecordedCall], number: int, terminal: Terminal, *, as_document: bool
) -> None:
    if not 1 <= number <= len(calls):
        known = f"it has calls 1 to {len(calls)}" if calls else "it has none"
        raise Refused(f"run {run} has no call {number}", f"`corral xray {run}` lists them: {known}.")
    found = xray_of(calls)[number - 1]
    messages = messages_of(await readers.blobs.get(calls[number - 1].request_blob))
    if as_document:
        terminal.data({**found.model_dump(mode="json"), "messages": [each.model_dump() for each in messages]})
        return
    for line in _told(found):
        terminal.print_data(line)
    for message in messages:
        terminal.print_data(f"\n── {message.role} ──", "bold")
        terminal.raw(f"{message.content.rstrip()}\n")


def _table(calls: Sequence[CallXRay]) -> list[str]:
    """A line for each call below the names of the columns, as wide as they are: a pipe has no width."""
    rows = [_COLUMNS, *(_row(call) for call in calls)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    return [
        "  ".join(
            cell.rjust(width) if name in _NUMBERS else cell.ljust(width)
            for name, cell, width in zip(_COLUMNS, row, widths, strict=True)
        ).rstrip()
        for row in rows
    ]


def _row(call: CallXRay) -> tuple[str, ...]:
    prompt = call.prompt
    known = prompt or PromptXRay()
    return (
        str(call.number),
        call.role,
        f"{call.step}#{call.ordinal}",
        call.server,
        _count(known.window or known.budget_window),
        _count(known.estimated_tokens),
        f"{call.prompt_tokens:,}{' ?' if known.doubted else ''}",
        _UNKNOWN if prompt is None else f"{prompt.cached_tokens:,}",
        f"{call.completion_tokens:,}",
        _count(known.answer_limit),
        _UNKNOWN if prompt is None else _cuts(prompt),
    )


def _count(tokens: int | None) -> str:
    return f"{tokens:,}" if tokens else _UNKNOWN


def _cuts(prompt: PromptXRay) -> str:
    cuts = [f"{cut.part} {cut.after:,}/{cut.before:,}" for cut in prompt.trims]
    refused = [f"refused {prompt.refusals}x"] if prompt.refusals else []
    return ", ".join([*refused, *cuts])


def _told(call: CallXRay) -> list[str]:
    lines = [
        (
            f"call {call.number}: {call.role}, {call.step}#{call.ordinal}, {call.model} on {call.server}, "
            f"ended by {call.finish or 'nobody knows what'}"
        ),
        f"counted by the server: {call.prompt_tokens:,} tokens read, {call.completion_tokens:,} written",
    ]
    prompt = call.prompt
    if prompt is None:
        return [*lines, "recorded before there was an X-ray: its sections are not known"]
    window = prompt.window or prompt.budget_window
    lines += [
        (
            f"thought to be {prompt.estimated_tokens:,}; the window has {_count(window)}; "
            f"the answer could take {_count(prompt.answer_limit)}; about {prompt.cached_tokens:,} were in the cache"
        ),
        (
            f"seconds: queued {prompt.queued_seconds:.2f}, load {prompt.load_seconds:.2f}, "
            f"reading {prompt.prompt_seconds:.2f}, writing {prompt.decode_seconds:.2f}"
        ),
    ]
    if prompt.doubted:
        lines.append("doubted: the server counted so few tokens that it cannot have read the whole prompt")
    if prompt.refusals:
        lines.append(f"refused {prompt.refusals}x by the server as too long, and made smaller each time")
    lines += [f"  {each.name:24} {each.tokens:>7,} tokens {each.characters:>8,} characters" for each in prompt.sections]
    return [*lines, *(_cut(cut) for cut in prompt.trims)]


def _cut(cut: TrimXRay) -> str:
    gone = f"; without {', '.join(cut.gone[:_GONE_SHOWN])}" if any(cut.gone) else ""
    more = f" and {len(cut.gone) - _GONE_SHOWN} more" if gone and len(cut.gone) > _GONE_SHOWN else ""
    return f"  cut in {cut.section}: {cut.part}, {cut.after:,} of {cut.before:,} {cut.unit} ({cut.rule}{gone}{more})"
