"""The rules that people have made: kept, listed, proposed, tried on past calls, taken back.

Owns the table `rules`, and the judgement of a call's parts off the loop.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from infrastructure.danger.judging import Part, parts_of
from infrastructure.ids import new_id
from infrastructure.sessions import approval_table as table
from infrastructure.sessions import moves
from infrastructure.sessions.approvals import (
    ActionRequest,
    Approval,
    ApprovalError,
    Decision,
    DecisionRefused,
    Scope,
)
from infrastructure.sessions.asking import held_by
from infrastructure.sessions.rules import Rule, covering, proposed, read_pattern
from infrastructure.storage.database import Database
from infrastructure.storage.times import Now

PAST_CALLS = 200
"""How many past calls a pattern is tried on."""


class UnknownRule(ApprovalError):
    """There is no such rule."""

    hint = "GET /api/v1/rules lists the rules."

    def __init__(self, rule: str) -> None:
        super().__init__(f"no rule {rule!r}")


@dataclass(frozen=True, slots=True)
class Proposal:
    """Rules that would cover a call, as a person may edit them, and the past calls that they would have covered."""

    patterns: tuple[str, ...]
    past: tuple[Approval, ...]


class Rulebook:
    """The rules. `home` is the user's, as paths are judged by it.

    Raises from every method: StorageError.
    """

    def __init__(self, database: Database, now: Now, home: Path | None = None) -> None:
        self._database, self._now, self._home = database, now, home

    async def rules(self, owner: str | None = None, workspace: str | None = None) -> tuple[Rule, ...]:
        """The rules that hold for an owner in a workspace, oldest first; all there are where neither is given."""
        return await self._database.read(lambda connection: table.rules_for(connection, owner, workspace))

    async def delete(self, rule: str) -> None:
        """Take a rule back. What it has approved already stays approved.

        Raises:
            UnknownRule: there is none.
        """
        if not await self._database.write(lambda connection: table.delete_rule(connection, rule)):
            raise UnknownRule(rule)

    async def propose(self, asked: Approval, patterns: tuple[str, ...] = ()) -> Proposal:
        """Patterns that cover this call (or these), and the past calls that they would have covered too.

        No patterns where the call is too dangerous, or too little is known of it, for a rule.

        Raises:
            DecisionRefused: one of the patterns is none.
        """
        parts = await self.parts(asked.action, asked.workspace)
        patterns = patterns or proposed(asked.action.tool, asked.action.arguments, parts)
        rules = tuple(self._candidate(shown) for shown in patterns)
        if not rules:
            return Proposal((), ())
        last = await self._database.read(lambda connection: table.last_of(connection, asked.action.tool, PAST_CALLS))
        others = tuple(each for each in last if each.id != asked.id and not held_by(each))
        return Proposal(patterns, await asyncio.to_thread(self._covered, rules, others))

    async def parts(self, action: ActionRequest, workspace: str) -> tuple[Part, ...]:
        """Everything that a call would do, each part judged."""
        return await asyncio.to_thread(self._judged, action, workspace)

    async def patterns(
        self, asked: Approval, decision: Decision, scope: Scope, patterns: tuple[str, ...]
    ) -> tuple[str, ...]:
        """The patterns that a yes makes rules of: they must cover this very call.

        Raises:
            DecisionRefused: a pattern is none, does not cover this call, or no rule may.
        """
        if scope == "once":
            return ()
        moves.check_allowed(asked, decision, scope)
        if scope == "project" and not asked.workspace:
            raise DecisionRefused("there is no project that the rule could be for", "Answer with another scope.")
        parts = await self.parts(asked.action, asked.workspace)
        shown = patterns or proposed(asked.action.tool, asked.action.arguments, parts)
        if not shown:
            raise DecisionRefused(
                "no rule can be made of this: what it does is not known well enough", "Answer with scope `once`."
            )
        rules = tuple(self._candidate(each) for each in shown)
        if not covering(rules, asked.action.tool, asked.action.arguments, parts):
            raise DecisionRefused(f"{', '.join(shown)} does not cover this call", "Widen it, or answer with `once`.")
        return tuple(rule.shown for rule in rules)

    def keep(self, connection: sqlite3.Connection, told: Approval) -> Approval:
        """Make the rules of a yes, within its transaction; the approval with their names."""
        owner = {"run": told.owner, "project": told.workspace}.get(told.scope, "")
        made: list[str] = []
        for shown in told.patterns:
            rule = replace(self._candidate(shown), id=new_id(), scope=told.scope, owner=owner)
            made.append(table.add_rule(connection, replace(rule, by=told.by, approval=told.id)).id)
        return replace(told, rule=",".join(made))

    def _judged(self, action: ActionRequest, workspace: str) -> tuple[Part, ...]:
        return parts_of(action.tool, action.arguments, workspace or None, declared=action.danger, home=self._home)

    def _covered(self, rules: tuple[Rule, ...], past: Iterable[Approval]) -> tuple[Approval, ...]:
        """Those past calls that the rules cover. Blocking."""
        return tuple(
            each
            for each in past
            if covering(rules, each.action.tool, each.action.arguments, self._judged(each.action, each.workspace))
        )

    def _candidate(self, shown: str) -> Rule:
        tool, pattern = read_pattern(shown)
        return Rule(id=shown, scope="once", owner="", tool=tool, pattern=pattern, made=self._now())
