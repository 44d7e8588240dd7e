"""Calls to a model as spans: `chat MODEL`, from the queue to the last token.

Owns what of a call's events goes on its span. Queue, load, prompt and answer are attributes, by the server's own word.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from opentelemetry.trace import SpanKind

from infrastructure.events import catalogue as events
from infrastructure.telemetry import names
from infrastructure.telemetry.otel.points import address_attributes

if TYPE_CHECKING:
    from collections.abc import Callable

    from infrastructure.events.catalogue.call import CallEvent
    from infrastructure.events.log import Stored
    from infrastructure.telemetry.otel.tree import Tree


def _key(event: CallEvent) -> tuple[str, str]:
    return ("call", event.call)


def _queued(tree: Tree, event: events.CallQueued, stored: Stored) -> None:
    told = {
        names.OPERATION_NAME: names.CHAT,
        names.PROVIDER_NAME: names.PROVIDER,
        names.REQUEST_MODEL: event.model,
        names.AGENT_NAME: event.role,
        names.CALL_ID: event.call,
    }
    if tree.has(_key(event)):
        return  # told again when its place in the queue changes
    asker = tree.find(*_asker(event))
    tree.begin(_key(event), f"{names.CHAT} {event.model}", stored.at, told, parent=asker, kind=SpanKind.CLIENT)


def _placed(tree: Tree, event: events.CallPlaced, stored: Stored) -> None:
    if tree.has(_key(event)):
        span = tree.find(_key(event))
        span.set_attribute(names.ENDPOINT, event.server)
        span.set_attributes(address_attributes(tree.addresses.get(event.server, event.server)))
        tree.mark(names.PLACED, stored.at, {names.ENDPOINT: event.server}, span)


def _waiting(tree: Tree, event: events.CallWaiting, stored: Stored) -> None:
    if tree.has(_key(event)):
        tree.mark(names.WAITING, stored.at, {names.LOADING: event.loading}, tree.find(_key(event)))


def _began(tree: Tree, event: events.CallBegan, stored: Stored) -> None:
    if tree.has(_key(event)):
        tree.mark(names.FIRST_TOKEN, stored.at, {names.SECONDS: event.seconds}, tree.find(_key(event)))


def _restarted(tree: Tree, event: events.CallRestarted, stored: Stored) -> None:
    if tree.has(_key(event)):
        tree.mark(names.RESTARTED, stored.at, {}, tree.find(_key(event)))


def _doubted(tree: Tree, event: events.CallDoubted, stored: Stored) -> None:
    told = {names.TOKENS_ESTIMATED: event.estimated_tokens, names.INPUT_TOKENS: event.prompt_tokens}
    tree.mark(names.DOUBTED_PROMPT, stored.at, told, tree.find(_key(event), *_asker(event)))


def _trimmed(tree: Tree, event: events.PromptTrimmed, stored: Stored) -> None:
    told = {names.TOKENS_ESTIMATED: event.tokens}
    tree.mark(names.TRIMMED, stored.at, told, tree.find(_key(event), *_asker(event)))


def _replayed(tree: Tree, event: events.CallReplayed, stored: Stored) -> None:
    tree.mark(names.REPLAYED, stored.at, {names.CALL_ID: event.call}, tree.find(*_asker(event)))


def _completed(tree: Tree, event: events.CallCompleted, stored: Stored) -> None:
    if not tree.has(_key(event)):
        return
    span = tree.find(_key(event))
    span.set_attributes(
        {
            names.RESPONSE_MODEL: event.model,
            names.INPUT_TOKENS: event.prompt_tokens,
            names.OUTPUT_TOKENS: event.completion_tokens,
            names.QUEUE_SECONDS: event.queued_seconds,
            names.LOAD_SECONDS: event.load_seconds,
            names.PREFILL_SECONDS: event.prompt_seconds,
            names.DECODE_SECONDS: event.decode_seconds,
        }
    )
    if event.finish:
        span.set_attribute(names.FINISH_REASONS, (event.finish,))
    tree.end(_key(event), stored.at)


def _failed(tree: Tree, event: events.CallFailed, stored: Stored) -> None:
    tree.end(_key(event), stored.at, error=event.error_class)


def _asker(event: CallEvent) -> tuple[tuple[str | int | None, ...], ...]:
    """The keys of the step or the agent that asks."""
    return (("node", event.node, event.candidate, event.round), ("agent", event.node))


CALLS: Mapping[type[events.Event], Callable[[Tree, Any, Stored], None]] = {
    events.CallQueued: _queued,
    events.CallPlaced: _placed,
    events.CallWaiting: _waiting,
    events.CallBegan: _began,
    events.CallRestarted: _restarted,
    events.CallDoubted: _doubted,
    events.PromptTrimmed: _trimmed,
    events.CallReplayed: _replayed,
    events.CallCompleted: _completed,
    events.CallFailed: _failed,
}
