"""Which model is taken where nobody names one and some servers are simulated."""

from __future__ import annotations

import pytest

from infrastructure.simulator import default_models
from infrastructure.workflow.lanes import ORACLE, Offer, choose_model

SIMULATED = [Offer(spec.name, spec.size, False, spec.name != "embedder", simulated=True) for spec in default_models()]


def test_oracle_is_the_simulators_own() -> None:
    assert ORACLE in {offer.name for offer in SIMULATED}


@pytest.mark.parametrize(
    ("offers", "chosen"),
    [
        (SIMULATED, "oracle"),
        ([*SIMULATED, Offer("random", 1, True, simulated=True)], "oracle"),
        ([Offer("oracle:latest", 1, False, simulated=True), Offer("echo", 9, True, simulated=True)], "oracle:latest"),
        ([Offer("echo", 1, False, simulated=True)], "echo"),
        ([*SIMULATED, Offer("qwen", 1, False)], "qwen"),
        ([Offer("oracle", 1, False), Offer("qwen", 9, False)], "qwen"),
    ],
)
def test_simulated_model_is_taken_only_where_there_is_no_other_and_then_the_oracle(
    offers: list[Offer], chosen: str
) -> None:
    assert choose_model(offers) == chosen
