"""Owns what a simulated server is told: its version, its models, its speed, its faults.

Every duration is in seconds and is multiplied by `time_scale`; 0 makes everything instant.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from infrastructure.simulator.toxics import Fault

_STRICT = ConfigDict(extra="forbid", frozen=True)


Form = Literal["whole", "search_replace", "function"]
"""In which the coder can be asked for changes."""
Brain = Literal["script", "echo", "random", "schema", "oracle", "embedder"]
TemplateName = Literal["chatml", "thinking", "native", "plain"]


class ModelSpec(BaseModel):
    """A model that the simulated server has.

    `script` models say `pieces` (one token each), `text` or `turns`, whatever they are asked; with `loop_to` the
    last piece is followed by the one at that index, for ever. Models with equal `weights` share a runner.
    """

    model_config = _STRICT

    name: str
    brain: Brain = "script"
    text: str | None = None
    turns: tuple[str, ...] | None = None
    """Texts by how many answers the conversation already has; the last one for all later turns."""
    pieces: tuple[str, ...] | None = None
    loop_to: int | None = None
    template: TemplateName = "chatml"
    tokenizer: Literal["bytes", "words"] = "words"
    context_length: int = Field(default=32768, ge=1)
    embedding_length: int = Field(default=64, ge=1)
    any_tag: bool = False
    """Whether the name is found with every tag."""
    vision: bool = False
    """Whether the model takes images."""
    pooling: bool = False
    """Whether the model can only embed."""
    parameters: dict[str, int | float | bool | str | list[str]] = Field(default_factory=dict)
    system: str | None = None
    family: str = "simulated"
    parent_model: str = ""
    parameter_size: str = "1B"
    quantization_level: str = "F16"
    size: int = Field(default=1_000_000_000, ge=0)
    weights: str | None = None
    """Digest (hex) of the weights blob; made from the name when absent."""
    load_seconds: float | None = Field(default=None, ge=0)
    prefill_tokens_per_second: float | None = Field(default=None, gt=0)
    decode_tokens_per_second: float | None = Field(default=None, gt=0)
    num_parallel: int | None = Field(default=None, ge=1)
    fault: Fault | None = None

    @model_validator(mode="after")
    def _one_text(self) -> Self:
        if sum(given is not None for given in (self.text, self.turns, self.pieces)) > 1:
            raise ValueError("a script has one of text, turns and pieces")
        return self


class Http2Settings(BaseModel):
    """How the HTTP/2 face treats its connections."""

    model_config = _STRICT

    max_streams: int = Field(default=100, ge=0)
    """That a client may have open at once: SETTINGS_MAX_CONCURRENT_STREAMS."""
    window: int = Field(default=65535, ge=0, le=2**31 - 1)
    """Bytes of a request's body that may be under way: SETTINGS_INITIAL_WINDOW_SIZE."""
    goaway_every: int | None = Field(default=None, ge=1)
    """Requests of one connection after which it gets a GOAWAY; None: never."""
    abrupt: bool = False
    """Whether a GOAWAY breaks off what is under way, instead of letting it end."""
    early_status: int | None = Field(default=None, ge=200, le=599)
    """With which a request is answered while its body is still coming; None: not at all."""
    answers_pings: bool = True


class SimulatorSettings(BaseModel):
    """Everything one simulated server is made of."""

    model_config = _STRICT

    version: Literal["0.32.15", "0.24.0"] = "0.32.15"
    models: tuple[ModelSpec, ...] | None = None
    """None: the default set (echo, random, schema, oracle, embedder)."""
    tasks: Path | None = None
    """JSON Lines file of the tasks that the oracle knows."""
    first_time_right: float = Field(default=1.0, ge=0, le=1)
    """Share of the tasks that the oracle solves without a repair."""
    independent: bool = False
    """Whether it is each answer of the coder that is right at this share, drawn anew for every other question, and not
    the task."""
    repair_right: float = Field(default=1.0, ge=0, le=1)
    """Share of the repairs that are right."""
    wrong_tests: float = Field(default=0.0, ge=0, le=1)
    """Share of the test functions that the tester writes which expect something false."""
    malformed: dict[Form, Annotated[float, Field(ge=0, le=1)]] = {}
    """Share of the coder's answers that cannot be used, by the form that is asked for."""
    seed: int = 0
    host: str = "127.0.0.1"
    port: int = Field(default=0, ge=0, le=65535)
    http2_port: int | None = Field(default=None, ge=0, le=65535)
    """Of a second face of the same server that speaks HTTP/2 (h2c); 0 takes a free one, None: no such face."""
    http2: Http2Settings | None = None
    """How it treats its connections; None: well."""
    num_parallel: int = Field(default=1, ge=1)
    max_loaded_models: int = Field(default=3, ge=1)
    memory_bytes: int | None = Field(default=None, ge=0)
    """Room for loaded models together; one alone is loaded whatever its size. None: no limit."""
    max_queue: int = Field(default=512, ge=0)
    num_ctx: int = Field(default=4096, ge=4)
    always_truncates: bool = False
    """Whether prompts are cut though a request says `truncate: false`, as by servers that do not know that word yet."""
    keep_alive_seconds: float = 300.0
    load_seconds: float = Field(default=0.25, ge=0)
    recovery_seconds: float = Field(default=0.0, ge=0)
    """Between a model's end and the load that it made room for: on a GPU of its own memory a server waits until that is
    reported free, 5 s at most. Measured servers had none."""
    prefill_tokens_per_second: float = Field(default=2000.0, gt=0)
    kept_prompts: int | None = Field(default=None, ge=0)
    """Prompts that stay in memory after they lost their slot; None: as the version was measured."""
    restore_tokens_per_second: float | None = Field(default=None, gt=0)
    """Taking such a prompt back; None: as much faster than prefill as was measured."""
    put_away_seconds: float = Field(default=0.0, ge=0)
    """Before a slot that holds something else reads a prompt: that goes into memory, while all streams stand still.
    0.2 to 0.9 s on a GPU without flash attention, next to nothing on CPUs."""
    loses_slots_every: int = Field(default=0, ge=0)
    """Of so many streams that a client leaves while tokens come, one keeps its slot until the model is put out of
    memory; 0: none does. Ollama's handler waits for ever to hand over a token that was under way in that moment (issue
    17131 of its repository, open in version 0.32.15): one in 20 to 40 where tokens come as fast as they are read."""
    decode_tokens_per_second: float = Field(default=60.0, gt=0)
    decode_slowdown: float | None = Field(default=None, ge=0)
    """How much longer each token takes for each further busy slot; None: as the version was measured."""
    time_scale: float = Field(default=1.0, ge=0)
    """Multiplies load, recovery, prefill, put-away and decode times (not keep_alive)."""
    idle_seconds: float | None = Field(default=None, gt=0)
    """After which a connection without a request is closed; None: never, as the real server does it. Not scaled."""
    known_to_registry: tuple[str, ...] = ()
    """Further models that a pull finds; every other pull ends as with no network."""
    pull_seconds: float = Field(default=0.2, ge=0)
    gpu: bool = False
    """Whether `/api/ps` says that models are in GPU memory."""

    def vram_of(self, spec: ModelSpec) -> int:
        """Bytes of a loaded model that `/api/ps` counts as GPU memory."""
        return spec.size if self.gpu else 0
