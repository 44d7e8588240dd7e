"""Owns which brain answers a question."""

from collections.abc import Iterator, Mapping, Sequence

from infrastructure.simulator.brains.edits import known_edits
from infrastructure.simulator.brains.oracle import Odds, OracleBrain
from infrastructure.simulator.brains.question import Brain, Question
from infrastructure.simulator.brains.schema import SchemaBrain
from infrastructure.simulator.brains.script import ScriptBrain
from infrastructure.simulator.brains.simple import EchoBrain, RandomBrain
from infrastructure.simulator.brains.tasks import Task
from infrastructure.simulator.settings import SimulatorSettings


class Brains:
    """All brains of a server. A grammar (`format`) overrules every brain but the oracle."""

    def __init__(self, settings: SimulatorSettings, tasks: Sequence[Task]) -> None:
        self._schema = SchemaBrain()
        self._oracle = OracleBrain((*tasks, *known_edits()), _odds_of(settings))
        self._brains: Mapping[str, Brain] = {
            "script": ScriptBrain(),
            "echo": EchoBrain(),
            "random": RandomBrain(),
            "schema": self._schema,
            "oracle": self._oracle,
            "embedder": EchoBrain(),
        }

    def answer(self, question: Question) -> Iterator[str]:
        """The tokens of the model's answer."""
        brain = self._brains[question.model.spec.brain]
        if question.format is not None and brain is not self._oracle:
            return self._schema.answer(question)
        return brain.answer(question)


def _odds_of(settings: SimulatorSettings) -> Odds:
    return Odds(
        seed=settings.seed,
        first_time_right=settings.first_time_right,
        independent=settings.independent,
        repair_right=settings.repair_right,
        wrong_tests=settings.wrong_tests,
        malformed=settings.malformed,
    )
