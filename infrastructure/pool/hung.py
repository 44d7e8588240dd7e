"""A model that hangs while its server answers.

Owns the suspicion, the probe that decides, what becomes of the calls there, and when the lane is used again. The
reasons are in docs/pool.md, "A model that hangs while its server answers". Whatever a runner hangs of, it ends with the
runner, so the model is put out of memory there in the end.
"""

from __future__ import annotations

import logging
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from infrastructure.pool import silence
from infrastructure.pool.lanes import canonical
from infrastructure.pool.silence import Place, Silences
from infrastructure.pool.states import CallState, Health
from infrastructure.transport.errors import OllamaError, PhaseTimeout, ServerUnreachable, StreamBroken
from infrastructure.transport.messages import GenerateRequest

if TYPE_CHECKING:
    from collections.abc import Sequence

    from infrastructure.pool.dispatcher import Dispatcher
    from infrastructure.pool.running import Running
    from infrastructure.pool.server_state import Berth
    from infrastructure.pool.ticket import Ticket
    from infrastructure.transport.messages import KeepAlive

_log = logging.getLogger(__name__)

LIST_SECONDS = 12.0
"""How long the list of loaded models may take: a server asks each runner first, a sick one for ten seconds."""
PROBE_AGAIN_SECONDS = (1.0, 30.0)
"""After which a hanging lane is probed again, the first time and at most."""
PUT_OUT_AFTER = 1.0
"""A lane that hangs has the limit of its silence so many times more, until its model is put out of memory."""
_SENT = frozenset({CallState.CONNECTING, CallState.WAITING, CallState.STREAMING})
_HINT = "the model's runner hangs there, or its server does: if the model is still silent in a minute, restart it"


@dataclass(slots=True)
class _Hung:
    """A lane that hangs."""

    keep_alive: KeepAlive | None
    probe_seconds: float
    """How long the answer to a probe may take."""
    probe_at: float
    put_out_at: float
    """From when the model may be put out of memory; never again once it was."""
    again_seconds: float = PROBE_AGAIN_SECONDS[0]
    probing: bool = False


class HungLanes:
    """Suspects, judges and looks after them. True while there is one."""

    def __init__(self, dispatcher: Dispatcher) -> None:
        self._pool = dispatcher
        self._silences = Silences(dispatcher.settings.num_predict)
        self._judging: set[Place] = set()
        self._hung: dict[Place, _Hung] = {}
        self._renewed: dict[Place, float] = {}
        """When a model was put out of memory because it hung there."""

    def __bool__(self) -> bool:
        return bool(self._hung)

    def go_round(self, now: float) -> None:
        """Note who was heard; suspect who was not for too long; look after those that hang."""
        self._silences.longest_answer = self._pool.settings.num_predict
        for place in list(self._hung):
            self._look_after(place, now)
        for place, runs in self._sent().items():
            heard = _heard(runs)
            silent = self._silences.note(place, min(run.ticket.placed_at for run in runs), now, heard=heard)
            if silent < silence.FLOOR_SECONDS or place in self._judging or place in self._hung:
                continue
            limit = self._silences.limit(place, runs, self._pool.figures.of(*place), now)
            if limit is not None and silent >= limit:
                self._judging.add(place)
                _log.info("%s is silent on %s for more than %.0f s", place[1], place[0], limit)
                self._pool.background.start(self._judge(place, limit), f"judge {place[1]}")

    def _sent(self) -> dict[Place, list[Running]]:
        """The calls that servers have, by place."""
        found: dict[Place, list[Running]] = {}
        for run in self._pool.runs():
            slot = run.ticket.slot
            if slot is not None and run.ticket.state in _SENT:
                found.setdefault((slot.server, slot.lane), []).append(run)
        return found

    # ---------------------------------------------------------------------------------------- judgement
    async def _judge(self, place: Place, limit: float) -> None:
        try:
            suspected = self._silences.heard_at(place)
            hangs = await self._hangs(place, limit)
            runs = self._sent().get(place)
            if self._pool.closed or not runs:
                return
            if not hangs:
                self._silences.acquit(place, self._pool.clock())
            elif not _heard(runs) and self._silences.heard_at(place) == suspected:
                self._condemn(place, runs, limit)
        finally:
            self._judging.discard(place)

    async def _hangs(self, place: Place, limit: float) -> bool:
        """Whether the lane is not loading, and gives no answer."""
        listed = await self._listed(place)
        runs = self._sent().get(place)
        if not runs or listed is False:
            return False
        if listed is None and all(run.ticket.first_byte_at is None for run in runs):
            return False  # a load of some engines holds up the list, too
        if _has_room(_berth(runs)):
            return not await self._answers(place, runs[-1].errand.settings.keep_alive, limit / 2)
        return True

    async def _listed(self, place: Place) -> bool | None:
        """Whether the server has the model in memory, under this or another name; None: it does not say."""
        name, lane = place
        if name not in self._pool.servers:
            return None
        try:
            loaded = await self._pool.inventory.client(name).ps(seconds=LIST_SECONDS)
        except OllamaError:
            return None
        held = self._pool.inventory.holdings(name).models or ()
        digests = {model.digest for model in held if canonical(model.name) == lane.model}
        return any(canonical(model.name) == lane.model or model.digest in digests for model in loaded)

    async def _answers(self, place: Place, keep_alive: KeepAlive | None, seconds: float) -> bool:
        """Whether the model makes a token within so many seconds, or says anything else."""
        name, lane = place
        if name not in self._pool.servers:
            return False
        request = GenerateRequest(
            model=lane.model,
            prompt="1",
            raw=True,
            options={**lane.options, "num_predict": 1},
            keep_alive=keep_alive,
            shift=lane.shift,
        )
        label, limits = self._pool.servers[name].label, self._pool.settings.phases
        limits = limits.model_copy(update={"first_byte": seconds, "between_tokens": seconds, "total": seconds})
        try:
            async with self._pool.inventory.client(name).generate(request, phases=limits) as chunks:
                async for _ in chunks:
                    pass
        except (PhaseTimeout, ServerUnreachable):
            return False
        except OllamaError as error:
            _log.info("%s on %s answers a probe: %s", lane, label, error)
        return True

    def _condemn(self, place: Place, runs: Sequence[Running], limit: float) -> None:
        """No calls for the lane there; those that it has go elsewhere, end, or wait on where there is no elsewhere."""
        pool, (name, lane) = self._pool, place
        label = pool.servers[name].label
        _log.warning("%s hangs on %s: no byte for more than %.0f s, no calls for it there", lane, label, limit)
        keep_alive = runs[-1].errand.settings.keep_alive
        now = pool.clock()
        self._hung[place] = _Hung(
            keep_alive, limit / 2, now + PROBE_AGAIN_SECONDS[0], now + self._patience(place, limit)
        )
        pool.counts["tripped"] += 1
        pool.scheduler.roster.shut(name, lane)
        pool.take_back(name, lambda run: self._may_ask_again(run.ticket, place))
        for run in runs:
            if run.ticket.state is CallState.STREAMING:
                pool.figures.failed(name, lane)
                silent = f"nothing came for more than {limit:.0f} s"
                pool.break_off(run, StreamBroken(run.partial, silent, server=label, hint=_HINT))
        pool.pump()

    def _patience(self, place: Place, limit: float) -> float:
        """Seconds until the model may be put out of memory.

        For ever where that was done and nothing has come since; and where no stream of ours was left since something
        came: then it is not that the server has lost a slot, and another program's calls may be why ours wait.
        """
        server = self._pool.scheduler.servers.get(place[0])
        berth = None if server is None else server.berths.get(place[1])
        if berth is None or not berth.left:
            return math.inf
        done, heard = self._renewed.get(place), self._silences.heard_at(place)
        return math.inf if done is not None and (heard is None or heard <= done) else PUT_OUT_AFTER * limit

    def _may_ask_again(self, ticket: Ticket, place: Place) -> bool:
        return ticket.lane == place[1] and not ticket.excluded and self._pool.budget.spend()

    # ---------------------------------------------------------------------------------------- afterwards
    def _look_after(self, place: Place, now: float) -> None:
        """Use the lane again when it was heard, or has a new runner; probe it else."""
        name, lane = place
        server, hung = self._pool.scheduler.servers.get(name), self._hung[place]
        if server is None:
            del self._hung[place]
            return
        berth = server.berths.get(lane)
        if server.health is Health.DOWN or (berth is not None and berth.heard):
            self._use_again(place)
        elif not hung.probing and now >= hung.put_out_at:
            hung.put_out_at, hung.probing = math.inf, True
            # They would hold the runner; they come first here when it is new.
            self._pool.take_back(name, lambda run: run.ticket.lane == lane and name not in run.left, exclude=False)
            self._pool.background.start(self._put_out(place, hung), f"put out {lane}")
        elif not hung.probing and now >= hung.probe_at and (berth is None or _has_room(berth)):
            hung.probing = True
            self._pool.background.start(self._probe(place, hung), f"probe {lane}")

    async def _put_out(self, place: Place, hung: _Hung) -> None:
        """Have the server end the runner, as `ollama stop` does; another program's calls there end first."""
        name, lane = place
        label = self._pool.servers[name].label
        _log.warning("%s is put out of memory on %s, since it hangs there; it is loaded anew", lane, label)
        try:
            limits = self._pool.settings.phases.model_copy(update={"first_byte": LIST_SECONDS, "total": LIST_SECONDS})
            await self._pool.inventory.client(name).load(lane.model, keep_alive=0, phases=limits)
        except OllamaError as error:
            _log.warning("%s cannot be put out of memory on %s: %s", lane, label, error)
        finally:
            hung.probing, hung.probe_at = False, self._pool.clock()
            self._renewed[place] = hung.probe_at

    async def _probe(self, place: Place, hung: _Hung) -> None:
        try:
            listed = await self._listed(place)
            well = listed is False or (listed and await self._answers(place, hung.keep_alive, hung.probe_seconds))
        finally:
            hung.probing = False
        if self._hung.get(place) is not hung or self._pool.closed:
            return
        if well:
            self._use_again(place)
            return
        hung.probe_at = self._pool.clock() + hung.again_seconds
        hung.again_seconds = min(2 * hung.again_seconds, PROBE_AGAIN_SECONDS[1])

    def _use_again(self, place: Place) -> None:
        del self._hung[place]
        if place[0] in self._pool.scheduler.servers:
            self._pool.scheduler.roster.reopen(*place)
            self._pool.pump()


def _berth(runs: Sequence[Running]) -> Berth:
    slot = runs[0].ticket.slot
    assert slot is not None, "only calls that servers have"
    return slot.berth


def _heard(runs: Sequence[Running]) -> bool:
    """Whether something came for them since the last round. A caller that does not read shows nothing."""
    return _berth(runs).heard or not all(run.reading for run in runs)


def _has_room(berth: Berth) -> bool:
    """Whether one slot more than those taken is surely there."""
    known = berth.learner.proven if berth.given is None else berth.given
    return known > berth.taken
