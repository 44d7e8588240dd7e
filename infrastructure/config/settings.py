"""Every setting there is, its default and its meaning.

Owns the shape only: frozen pydantic models, no file, no environment. `infrastructure.config.load` reads them.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from platformdirs import user_config_path, user_data_path
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator

from infrastructure.config.hosts import is_loopback, server_url

PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Frozen(BaseModel):
    """A settings section: frozen, and an unknown name is an error, so that a typo is not silently a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Frozen):
    """One Ollama process, or a proxy in front of it."""

    url: str = "http://127.0.0.1:11434"
    name: str = ""
    """How people see it; host and port when empty."""
    http2: bool = False
    """Speak HTTP/2: ALPN over https, prior knowledge over h2c. Ollama itself speaks HTTP/1.1 only."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`."""
    username: str | None = None
    password: SecretStr | None = None
    ca_file: Path | None = None
    """PEM file of a private certificate authority."""
    slots: int = Field(default=1, ge=1, le=256)
    """Parallel places for one lane: the server's OLLAMA_NUM_PARALLEL."""

    @field_validator("url")
    @classmethod
    def _read_url(cls, value: str) -> str:
        return server_url(value)

    @property
    def label(self) -> str:
        """The name people see."""
        return self.name or self.url.partition("://")[2]

    @property
    def loopback(self) -> bool:
        """Whether it runs on this machine, so that no proxy of the environment is ever used."""
        return is_loopback(self.url)


class LaneSettings(Frozen):
    """A model with its fixed load-time options. Only what is set here is sent: each difference reloads the model."""

    model: str
    num_ctx: int | None = Field(default=None, ge=4)
    num_batch: int | None = Field(default=None, ge=1)
    num_gpu: int | None = None
    main_gpu: int | None = None
    num_thread: int | None = Field(default=None, ge=0)
    use_mmap: bool | None = None
    draft_num_predict: int | None = Field(default=None, ge=0)
    shift: bool | None = None
    keep_alive: str | float | None = None
    """How long the server keeps the model after the last call ("30m", seconds, -1 for ever)."""


class PhaseLimits(Frozen):
    """How long each phase of a call may take, in seconds."""

    connect: PositiveSeconds = 5
    queue: PositiveSeconds = 3600
    first_byte: PositiveSeconds = 900
    """From sending to the first byte: the server's queue, a model load and prompt evaluation all happen in it."""
    between_tokens: PositiveSeconds = 120
    total: PositiveSeconds = 3600


class PoolSettings(Frozen):
    """Limits of the pool."""

    queue_length: int = Field(default=1000, ge=1)
    phases: PhaseLimits = PhaseLimits()
    line_bytes: int = Field(default=8 << 20, ge=1024)
    """The longest line accepted of a server (Ollama's own client allows 8 MiB)."""
    retry_down_seconds: PositiveSeconds = 2
    """How long a server that failed is left alone before a call may try it again."""
    num_predict: int = Field(default=4096, ge=1)
    """The most tokens of one answer, unless a call asks for another bound."""
    allow_cloud: bool = False
    """Whether models named `:cloud` or `-cloud`, which leave the machine, are allowed."""


class BudgetSettings(Frozen):
    """What one run may use; it ends with the best so far when one of them is spent."""

    calls: int = Field(default=60, ge=1)
    tokens: int = Field(default=400_000, ge=1)
    seconds: PositiveSeconds = 3600


class RunSettings(Frozen):
    """How a run works."""

    candidates: int = Field(default=1, ge=1, le=16)
    repairs: int = Field(default=2, ge=0, le=10)
    """Repairs of one candidate before a new plan."""
    rounds: int = Field(default=2, ge=1, le=10)
    """Plans tried before the run gives up."""
    approve: tuple[Literal["plan", "patch"], ...] = ()
    budget: BudgetSettings = BudgetSettings()
    task_bytes: int = Field(default=64 << 10, ge=1)
    """The longest task text."""


class SandboxSettings(Frozen):
    """Where generated code runs."""

    level: Literal["auto", "bubblewrap", "landlock", "none"] = "auto"
    read: tuple[Path, ...] = ()
    """Further folders that tests may read."""
    seconds: PositiveSeconds = 60
    memory_bytes: int = Field(default=2 << 30, ge=1 << 26)
    processes: int = Field(default=64, ge=1)
    at_once: int | None = Field(default=None, ge=1)
    """Executions at the same time; the number of cores when unset."""


class Paths(Frozen):
    """Where Corral keeps things."""

    data: Path = Field(default_factory=lambda: user_data_path("corral"))
    config: Path = Field(default_factory=lambda: user_config_path("corral") / "corral.toml")


class ServeSettings(Frozen):
    """The HTTP door."""

    host: str = "127.0.0.1"
    """Address to listen on. Another than loopback needs a password."""
    port: int = Field(default=8765, ge=0, le=65535)
    """0 takes a free one."""
    password: SecretStr | None = Field(default=None, min_length=8)
    """What a browser is asked for instead of a one-time address."""
    hosts: tuple[str, ...] = ()
    """Further names it is reached by, as the `Host` header has them: that of a proxy, or of this machine."""


class RetentionSettings(Frozen):
    """What `corral clean` removes, in days since a run ended."""

    trees_days: float = Field(default=7, ge=0)
    tokens_days: float = Field(default=7, ge=0)
    runs_days: float = Field(default=90, ge=0)


class Settings(Frozen):
    """All of it."""

    servers: tuple[ServerSettings, ...] = ()
    model: str | None = None
    """The lane of every role that `roles` does not name."""
    lanes: dict[str, LaneSettings] = {}
    """Lanes by the name people give them; a plain model name needs no entry."""
    roles: dict[str, str] = {}
    """Role to lane name or model."""
    pool: PoolSettings = PoolSettings()
    run: RunSettings = RunSettings()
    sandbox: SandboxSettings = SandboxSettings()
    paths: Paths = Field(default_factory=Paths)
    retention: RetentionSettings = RetentionSettings()
    serve: ServeSettings = ServeSettings()

    def lane_of(self, name: str) -> LaneSettings:
        """The lane a name stands for: an entry of `lanes`, else the model of that name as the server has it."""
        return self.lanes.get(name) or LaneSettings(model=name)
