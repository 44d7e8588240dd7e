"""Candidates of one round against each other, where no test that was there before can tell which is right.

Owns who takes part, what is known of each (written tests, outputs on common inputs, what a person said), and the
sentence that says why one was taken. Which one that is, `infrastructure/judge/agreement.py` decides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from infrastructure.judge.agreement import RULED, Agreement, Contender, agree
from infrastructure.judge.probing import Output, load_outputs
from infrastructure.judge.reports import TestReport
from infrastructure.storage.blobs import Blobs
from infrastructure.workflow.evidence import load_report, maybe_report
from infrastructure.workflow.stated import known_shares
from infrastructure.workflow.values import Candidate, Examined, Outcome, Ruling, Written

Outputs = Mapping[int, tuple[Output, ...]]
"""What each candidate gives for the examiner's calls, by its number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """A round's candidates, compared.

    Attributes:
        contenders: Who took part, by number.
        agreement: What came of it; None where a person's answer fits none of them.
        tests: The written tests that tell the candidates from the untouched code, or from each other.
        shown: Those of them that were red on the untouched code.
        examined: What was tried, where something was.
        outputs: What came of that; only of candidates that gave a value.
        ruling: What a person said of this round's candidates.
    """

    contenders: Mapping[int, Candidate]
    agreement: Agreement | None
    tests: tuple[str, ...] = ()
    shown: frozenset[str] = frozenset()
    examined: Examined | None = None
    outputs: Outputs
    ruling: Ruling | None = None

    @property
    def settled(self) -> bool:
        """Whether a second look could hardly change the choice."""
        return self.agreement is None or len(self.contenders) < 2 or self.agreement.decided

    @property
    def telling(self) -> tuple[str, ...]:
        """The calls for which the two likeliest groups part; first where both give a value, then the shorter."""
        if self.agreement is None or self.examined is None or len(self.agreement.groups) < 2:
            return ()
        one, other = (self.outputs.get(group.members[0], ()) for group in self.agreement.groups[:2])
        apart = [number for number, (a, b) in enumerate(zip(one, other, strict=False)) if a.alike != b.alike]
        calls = self.examined.calls
        apart.sort(key=lambda number: (-(one[number].gave + other[number].gave), len(calls[number])))
        return tuple(calls[number] for number in apart)

    def answers(self, call: str) -> tuple[str, ...]:
        """What the candidates give for a call, as a person is shown it; the likeliest first, each once."""
        if self.agreement is None or self.examined is None:
            return ()
        place = self.examined.calls.index(call)
        firsts = [group.members[0] for group in self.agreement.groups]
        by_key = {
            self.outputs[each][place].key: self.outputs[each][place].shown for each in firsts if each in self.outputs
        }
        return tuple(by_key.values())


async def compare(
    blobs: Blobs,
    candidates: Sequence[Candidate],
    *,
    written: Written | None = None,
    examined: Examined | None = None,
    ruling: Ruling | None = None,
) -> Comparison | None:
    """Compare a round's candidates; None where none of them is to be compared.

    Args:
        blobs: Where reports, patches and outputs are.
        candidates: All of the round.
        written: The tests written for this round.
        examined: What they do on common inputs.
        ruling: What a person said, in this round or an earlier one.
    """
    reports = {each.number: await load_report(blobs, each.written_report) for each in candidates if each.written_report}
    before = await maybe_report(blobs, written.report) if written is not None else None
    tests = written_tests(reports)
    contenders = to_compare(candidates, with_tests=bool(tests))
    if not contenders:
        return None
    outputs = await _outputs(blobs, examined, contenders)
    here = ruling if ruling is not None and ruling.round == contenders[0].round else None
    able = _able(contenders, outputs, examined, here)
    agreement = agree(
        [
            Contender(
                number=each.number,
                passed=reports[each.number].passed if each.number in reports else frozenset(),
                behaviour="\n".join(output.alike for output in outputs.get(each.number, ())),
                lines=await _changed_lines(blobs, each),
            )
            for each in able
        ],
        tests,
        known={**known_shares(tests, before), **_answered(tests, ruling)},
    )
    return Comparison(
        contenders={each.number: each for each in contenders},
        agreement=agreement,
        tests=tests,
        shown=frozenset(tests) - (before.passed if before is not None else frozenset()),
        examined=examined,
        outputs=outputs,
        ruling=here,
    )


def to_compare(candidates: Sequence[Candidate], *, with_tests: bool) -> tuple[Candidate, ...]:
    """Who takes part: those that no test of the judge speaks for or against.

    With written tests, whoever ran them to a verdict of theirs. Without, whoever is good as far as anybody can tell;
    of these only those with the fewest red tests of the judge's. Where none is, since the written tests could be loaded
    with no candidate at all, these are taken for wrong as a whole.
    """
    if any(each.outcome is Outcome.DONE for each in candidates):
        return ()
    by_written = tuple(each for each in candidates if each.written_report and each.judge == "written")
    good = [each for each in candidates if each.outcome is Outcome.UNVERIFIED]
    if with_tests or not good:
        return by_written
    fewest = min(each.failing for each in good)
    return tuple(each for each in good if each.failing == fewest)


async def is_decided(blobs: Blobs, candidates: Sequence[Candidate], written: Written | None) -> bool:
    """Whether those of a round that have ended agree so far that a further one would hardly change the choice."""
    comparison = await compare(blobs, candidates, written=written)
    if comparison is None or comparison.agreement is None:
        return False
    return comparison.agreement.decided and not comparison.shown.isdisjoint(comparison.agreement.kept)


def written_tests(reports: Mapping[int, TestReport]) -> tuple[str, ...]:
    """The test functions that ran for at least one candidate; a file or class that failed as a whole is none."""
    names = {
        test for report in reports.values() for test in report.outcomes if test in report.passed or test in report.red
    }
    wholes = {test.rpartition("::")[0] for test in names} | {
        test.rpartition("::")[0].rpartition("::")[0] for test in names
    }
    return tuple(sorted(test for test in names if "::" in test and test not in wholes))


def settle(comparison: Comparison) -> Candidate:
    """The candidate that is taken, as it ends: what it rests on, how it stands, and why."""
    agreement = comparison.agreement
    if agreement is None:
        best = min(comparison.contenders.values(), key=lambda each: (each.failing, each.number))
        return replace(best, outcome=Outcome.FAILED, reason=_ruled_out(comparison), judge="written")
    chosen = comparison.contenders[agreement.chosen]
    if comparison.ruling is not None:
        said = f"A person said what {comparison.ruling.call} gives, and this gives it; {reason_of(comparison)}"
        return replace(chosen, outcome=Outcome.UNVERIFIED, reason=said, judge="written")
    if not comparison.tests:
        return _without_tests(comparison, chosen)
    good = agreement.none_right <= 0.5 and not comparison.shown.isdisjoint(agreement.kept)
    outcome = Outcome.UNVERIFIED if good else Outcome.FAILED
    return replace(chosen, outcome=outcome, reason=_sentence(reason_of(comparison)), judge="written")


def _without_tests(comparison: Comparison, chosen: Candidate) -> Candidate:
    """Nothing but outputs: they prove nothing, and make up for tests that could not be loaded where two agree."""
    reason = _sentence(reason_of(comparison))
    if chosen.outcome is Outcome.UNVERIFIED:
        return replace(chosen, reason=f"{chosen.reason} {reason}")
    agreement = comparison.agreement
    if agreement is None or not comparison.outputs or len(agreement.groups[0].members) < 2:
        return chosen
    reason = f"No written test could be loaded with any candidate. {reason}"
    return replace(chosen, outcome=Outcome.UNVERIFIED, reason=reason, judge="none")


def demoted(comparison: Comparison, chosen: Candidate) -> tuple[Candidate, ...]:
    """The others that would count as good by themselves, and do not now that they were compared."""
    others = [each for each in comparison.contenders.values() if each.number != chosen.number]
    return tuple(
        replace(each, outcome=Outcome.LOST, reason=f"candidate {chosen.number} was taken after comparing")
        for each in others
        if each.outcome is Outcome.UNVERIFIED
    )


def reason_of(comparison: Comparison) -> str:
    """Why the likeliest candidate is taken, as a clause."""
    agreement = comparison.agreement
    assert agreement is not None
    agreeing, everybody = len(agreement.groups[0].members), len(comparison.contenders)
    parts = [_by_tests(agreement, agreeing, everybody) if comparison.tests else _by_outputs(comparison)]
    if agreement.dropped:
        parts.append(
            f"{len(agreement.dropped)} of {len(comparison.tests)} written tests were left out as probably wrong"
        )
    if comparison.tests and comparison.outputs:
        parts.append(_by_outputs(comparison))
    if agreement.split:
        others = ", ".join(str(number) for group in agreement.groups[1:] for number in group.members)
        parts.append(f"it was split: {'candidates' if ',' in others else 'candidate'} {others} would do too")
    return "; ".join(parts)


def _by_tests(agreement: Agreement, agreeing: int, everybody: int) -> str:
    kept = len(agreement.kept)
    if not kept:
        return f"no written test passes for any of {everybody} candidates"
    if everybody == 1:
        return f"the only candidate to compare passes {kept} written tests"
    if agreeing == 1:
        return f"no two of {everybody} candidates agree, and {kept} written tests pass"
    return f"the written tests that {agreeing} of {everybody} candidates agree on pass"


def _by_outputs(comparison: Comparison) -> str:
    agreement, examined = comparison.agreement, comparison.examined
    everybody = len(comparison.contenders)
    if agreement is None or examined is None or not comparison.outputs:
        return f"{everybody} candidates could not be told apart"
    agreeing, calls = len(agreement.groups[0].members), len(examined.calls)
    if agreeing == 1:
        return f"no other of {everybody} candidates gives the same for {calls} inputs"
    return f"{agreeing} of {everybody} candidates give the same for {calls} inputs"


def _ruled_out(comparison: Comparison) -> str:
    ruling = comparison.ruling
    assert ruling is not None
    wanted = f"{ruling.call} should give {ruling.answer}" if ruling.answer else f"what {ruling.call} gives is wrong"
    return f"A person said: {wanted}; no candidate does that."


def _able(
    contenders: Sequence[Candidate], outputs: Outputs, examined: Examined | None, ruling: Ruling | None
) -> list[Candidate]:
    """Who may be taken: where any gives values at all, whoever does; after a person's answer, whoever gives it."""
    able = [each for each in contenders if each.number in outputs] or list(contenders)
    if ruling is None or examined is None or ruling.call not in examined.calls:
        return able
    place = examined.calls.index(ruling.call)
    return [each for each in able if each.number in outputs and outputs[each.number][place].shown == ruling.answer]


async def _outputs(blobs: Blobs, examined: Examined | None, contenders: Sequence[Candidate]) -> Outputs:
    """The outputs of those that gave a value for any call; one that fails for all shows nothing by failing alike."""
    if examined is None or examined.round != contenders[0].round:
        return {}
    found = {each.number: load_outputs(await blobs.get(each.outputs)) for each in examined.observed}
    taking_part = {each.number for each in contenders}
    return {
        number: outputs
        for number, outputs in found.items()
        if number in taking_part and any(output.gave for output in outputs)
    }


async def _changed_lines(blobs: Blobs, candidate: Candidate) -> int:
    if not candidate.patch:
        return 0
    lines = (await blobs.get(candidate.patch)).splitlines()
    return sum(line.startswith((b"+", b"-")) and not line.startswith((b"+++ ", b"--- ")) for line in lines)


def _answered(tests: Sequence[str], ruling: Ruling | None) -> dict[str, float]:
    """The tests that a person's answer became, and how likely they are right."""
    if ruling is None or ruling.test is None:
        return {}
    return {test: RULED for test in tests if test.partition("::")[0] == ruling.test.path}


def _sentence(clause: str) -> str:
    return f"{clause[0].upper()}{clause[1:]}."
