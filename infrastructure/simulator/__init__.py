"""Owns a simulated Ollama server for tests, demo and benchmarks: faithful on the wire, deterministic."""

from infrastructure.simulator.brains.problems import KnownProblem, split_tests
from infrastructure.simulator.brains.reading import read_task, read_tasks
from infrastructure.simulator.brains.tasks import Break, Task, is_right_first_time
from infrastructure.simulator.catalogue import default_models, script_models
from infrastructure.simulator.records import Load, LoadOutcome, Outcome, RequestRecord, SlotSpan, Unload
from infrastructure.simulator.server import Simulator, run_simulator
from infrastructure.simulator.settings import Http2Settings, ModelSpec, SimulatorSettings
from infrastructure.simulator.toxics import Fault, FaultKind, Toxic, ToxicKind
from infrastructure.simulator.truth import Truth

__all__ = [
    "Break",
    "Fault",
    "FaultKind",
    "Http2Settings",
    "KnownProblem",
    "Load",
    "LoadOutcome",
    "ModelSpec",
    "Outcome",
    "RequestRecord",
    "Simulator",
    "SimulatorSettings",
    "SlotSpan",
    "Task",
    "Toxic",
    "ToxicKind",
    "Truth",
    "Unload",
    "default_models",
    "is_right_first_time",
    "read_task",
    "read_tasks",
    "run_simulator",
    "script_models",
    "split_tests",
]
