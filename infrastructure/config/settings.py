"""Every setting there is, its default, its unit and its meaning.

Owns the shape only: frozen pydantic models, no file, no environment. `infrastructure.config.load` reads them. The
docstrings are for people: docs/settings.md is made of them, and a test holds the two equal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self, TypeAlias, cast

from platformdirs import user_config_path, user_data_path
from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator, model_validator

from infrastructure.config.hosts import collector_url, is_loopback, server_url, split_credentials


@dataclass(frozen=True, slots=True)
class Unit:
    """What the number of a setting counts."""

    name: str


PositiveSeconds = Annotated[float, Field(gt=0, allow_inf_nan=False), Unit("seconds")]
RunSeconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False), Unit("seconds")]
"""Of something that runs: the system's timers and limits take no number however large, and a day is none to them."""
Bytes = Annotated[int, Unit("bytes")]
Tokens = Annotated[int, Unit("tokens")]
Candidates: TypeAlias = Annotated[int, Field(ge=1, le=16)] | Literal["auto"]
Days = Annotated[float, Field(ge=0), Unit("days")]


class Frozen(BaseModel):
    """A settings section: frozen, and an unknown name is an error, so that a typo is not silently a default."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ServerSettings(Frozen):
    """One Ollama process, or a proxy in front of it."""

    url: str = "http://127.0.0.1:11434"
    """Its address, read as `OLLAMA_HOST` is: `gpu1`, `gpu1:11434`, `https://gpu2.lan`, or `h2c://` for HTTP/2 without
    TLS. `https://me:secret@gpu2.lan` gives `username` and `password` too."""
    name: str = ""
    """How people see it; host and port when empty."""
    http2: bool = False
    """Speak HTTP/2: ALPN over https, prior knowledge over h2c. Ollama itself speaks HTTP/1.1 only."""
    transport: Literal["own", "httpx"] = "own"
    """What speaks HTTP/1.1: Corral's own code, or httpx. Through a proxy of the environment it is always httpx."""
    token: SecretStr | None = None
    """Sent as `Authorization: Bearer`, to a proxy that wants one. Goes before `username`."""
    username: str | None = None
    """Sent with `password` as `Authorization: Basic`."""
    password: SecretStr | None = None
    """Belongs to `username`."""
    ca_file: Path | None = None
    """PEM file of a private certificate authority."""
    slots: int | None = Field(default=None, ge=1, le=256)
    """Parallel places for one lane: the server's `OLLAMA_NUM_PARALLEL`. Learned from its answers when unset."""
    max_loaded_models: Annotated[int | None, Unit("models")] = Field(default=None, ge=1)
    """How many it has in memory at once: its `OLLAMA_MAX_LOADED_MODELS`, or what fits. Learned when unset."""

    @model_validator(mode="before")
    @classmethod
    def _take_credentials(cls, given: object) -> object:
        """What an address says of user and password goes where no message shows it."""
        if not isinstance(given, Mapping):
            return given
        fields = cast("Mapping[str, object]", given)
        url = fields.get("url")
        if not isinstance(url, str):
            return fields
        address, username, password = split_credentials(url)
        taken = {"username": username, "password": password}
        return {**{key: value for key, value in taken.items() if value}, **fields, "url": address}

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
    """The model as the server names it."""
    num_ctx: Annotated[int | None, Unit("tokens")] = Field(default=None, ge=4)
    """The window: prompt and answer together."""
    num_batch: Annotated[int | None, Unit("tokens")] = Field(default=None, ge=1)
    """How much of a prompt is evaluated at a time."""
    num_gpu: Annotated[int | None, Unit("layers")] = None
    """How much of the model lies on the GPU."""
    main_gpu: int | None = None
    """The number of the GPU that is used first."""
    num_thread: Annotated[int | None, Unit("threads")] = Field(default=None, ge=0)
    """CPU threads; 0 lets the server choose."""
    use_mmap: bool | None = None
    """Whether the model's file is mapped into memory."""
    draft_num_predict: Annotated[int | None, Unit("tokens")] = Field(default=None, ge=0)
    """How far a draft model runs ahead."""
    shift: bool | None = None
    """Whether the window moves on when it is full, instead of ending the answer. Servers from 0.30 on reload the model
    for it."""
    keep_alive: Annotated[str | float | None, Unit("seconds")] = None
    """How long the server keeps the model after the last call: `"30m"`, a number of seconds, or -1 for ever. The
    server's own `OLLAMA_KEEP_ALIVE` when unset."""


class PhaseLimits(Frozen):
    """How long each phase of a call may take."""

    connect: PositiveSeconds = 5
    """Until the server has taken the connection."""
    queue: PositiveSeconds = 3600
    """For a slot, in Corral's own queue."""
    first_byte: PositiveSeconds = 900
    """From sending to the first byte: the server's queue, a model load and prompt evaluation all happen in it."""
    between_tokens: PositiveSeconds = 120
    """From one piece of an answer to the next."""
    total: PositiveSeconds = 3600
    """From sending to the end of the answer."""


class PoolSettings(Frozen):
    """Limits of the pool."""

    queue_length: Annotated[int, Unit("calls")] = Field(default=1000, ge=1)
    """How many may wait for a slot, and as many more that only drained servers could serve; others are refused."""
    phases: PhaseLimits = PhaseLimits()
    line_bytes: Bytes = Field(default=8 << 20, ge=1024)
    """The longest line accepted of a server. Ollama's own client allows 8 MiB."""
    retry_down_seconds: PositiveSeconds = 2
    """How long a server that failed is left alone before a call may try it again."""
    num_predict: Tokens = Field(default=4096, ge=1)
    """The most tokens of one answer, unless a call asks for another bound."""
    preload: tuple[str, ...] | None = None
    """Lanes or models that are loaded when an engine starts, each on one server, where nothing has to go for it, and
    kept there while it runs. When unset, `corral serve` loads those of `model` and `roles`, and keeps none longer."""
    allow_cloud: bool = False
    """Whether models named `:cloud` or `-cloud`, which leave the machine, are allowed."""

    @field_validator("preload")
    @classmethod
    def _have_names(cls, value: tuple[str, ...] | None) -> tuple[str, ...] | None:
        if value is not None and not all(name.strip() for name in value):
            raise ValueError("a name is empty")
        return value


class BudgetSettings(Frozen):
    """What one run may use; it ends with the best so far when one of them is spent."""

    calls: Annotated[int, Unit("calls")] = Field(default=60, ge=1)
    """Model calls."""
    tokens: Tokens = Field(default=400_000, ge=1)
    """Of prompts and answers together."""
    seconds: PositiveSeconds = 3600
    """Wall time, over all its executions."""
    gpu_seconds: Annotated[float | None, Unit("seconds")] = Field(default=None, gt=0, allow_inf_nan=False)
    """Time in which servers worked for it: loading the model, reading prompts and writing answers, added up over all
    calls. No limit where unset."""


class RunSettings(Frozen):
    """How a run works."""

    candidates: Candidates = 1
    """Solutions tried side by side; the best is taken. All but the first run in idle slots until it has failed; with
    `auto` there are four, or as many as the model's profile says, and those are given up that find no idle slot."""
    repairs: int = Field(default=2, ge=0, le=10)
    """Repairs of one candidate before a new plan."""
    rounds: int = Field(default=2, ge=1, le=10)
    """Plans tried before the run gives up."""
    approve: tuple[Literal["plan", "patch"], ...] = ()
    """What a person is asked about before the run goes on."""
    budget: BudgetSettings = BudgetSettings()
    task_bytes: Bytes = Field(default=64 << 10, ge=1)
    """The longest task text."""
    map_tokens: Tokens = Field(default=1024, ge=0, le=32768)
    """How long the map of the repository may be that researcher, planner and coder are shown; at most an eighth of a
    window that their lane sets. 0 shows none."""
    profiles: bool = True
    """Whether runs take what is known of the coder's model from its profile, and add what they see of it."""


class SandboxSettings(Frozen):
    """Where generated code runs."""

    level: Literal["auto", "bubblewrap", "landlock", "none"] = "auto"
    """`auto` takes the strongest that holds on this machine, and refuses where none does. A named level is that one or
    an error. `none` runs generated code with your rights."""
    read: tuple[Path, ...] = ()
    """Further folders that tests may read."""
    seconds: RunSeconds = 60
    """For one execution of the tests; then everything it started is killed."""
    test_seconds: RunSeconds = 10
    """Of processor time for one test of pytest or unittest; then it has failed where it was, and the next one runs."""
    memory_bytes: Bytes = Field(default=2 << 30, ge=1 << 26)
    """For all processes of one execution together."""
    processes: Annotated[int, Unit("processes")] = Field(default=64, ge=1)
    """Processes and threads of one execution at once."""
    at_once: Annotated[int | None, Unit("executions")] = Field(default=None, ge=1)
    """Executions at the same time; the number of cores when unset."""


class McpServerSettings(Frozen):
    """A server that speaks MCP, the Model Context Protocol; its tools are named `NAME__TOOL`. Needs `corral[mcp]`.

    It runs with your rights, outside the sandbox. Set either `command` or `url`.
    """

    command: str = ""
    """The program that is started and spoken to over its input and output."""
    args: tuple[str, ...] = ()
    """What the program is given."""
    env: dict[str, SecretStr] = {}
    """Variables it gets besides HOME, PATH, SHELL, TERM and the user's name."""
    url: str = ""
    """Of a server that runs already and speaks MCP over HTTP. What agents send it leaves the machine if it does."""
    start_seconds: PositiveSeconds = 20
    """Until it has started and told its tools."""
    call_seconds: PositiveSeconds = 60
    """For one call."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if bool(self.command) == bool(self.url):
            raise ValueError("set either command or url")
        if self.url and not self.url.startswith(("http://", "https://")):
            raise ValueError("the url has to begin with http:// or https://")
        return self


class ToolSettings(Frozen):
    """What agents of a conversation may call."""

    mcp: dict[Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9-]{0,19}$")], McpServerSettings] = {}
    """Servers of tools, by the name people give them: a letter, then letters, digits and `-`, 20 at most."""

    @field_validator("mcp")
    @classmethod
    def _names_differ(cls, value: dict[str, McpServerSettings]) -> dict[str, McpServerSettings]:
        if len({name.casefold() for name in value}) < len(value):
            raise ValueError("two servers bear one name, letter case aside")
        return value


class Paths(Frozen):
    """Where Corral keeps things."""

    data: Path = Field(default_factory=lambda: user_data_path("corral"))
    """Runs, events, patches, the token: everything that Corral keeps. One engine works on it at a time."""
    config: Path = Field(default_factory=lambda: user_config_path("corral") / "corral.toml")
    """Where the settings file is. Shown, and never set in it: `--config` or `CORRAL_CONFIG` names another file."""


class ServeSettings(Frozen):
    """The HTTP door."""

    host: str = "127.0.0.1"
    """Address to listen on. Another than loopback needs a password."""
    port: int = Field(default=8765, ge=0, le=65535)
    """Port to listen on; 0 takes a free one. Where nobody set it, the next free one above the default is taken."""
    password: SecretStr | None = Field(default=None, min_length=8)
    """What a browser is asked for instead of a one-time address. At least 8 characters."""
    hosts: tuple[str, ...] = ()
    """Further names it is reached by, as the `Host` header has them: that of a proxy, or of this machine."""
    watch: bool = True
    """Whether `corral serve` takes changes of the settings file while it runs. SIGHUP and `POST /api/v1/config/reload`
    have it read in any case."""


class RetentionSettings(Frozen):
    """How long `corral clean` keeps what a run left behind, counted from the run's end."""

    trees_days: Days = 7
    """Its working trees: `corral apply` needs them to see what changed since; `git apply` does not."""
    tokens_days: Days = 7
    """The model's words as they were streamed; results stay."""
    runs_days: Days = 90
    """The run itself, its events and patch; the standing of batches; events of deleted sessions and of the program."""


class LogSettings(Frozen):
    """What the program says of itself on stderr."""

    format: Literal["text", "json"] = "text"
    """Lines for people, or a JSON object a line; each of those has the correlation id of what it is about."""
    level: Literal["debug", "info", "warning", "error"] = "warning"
    """The least serious that is said."""


class TelemetrySettings(Frozen):
    """Traces and metrics for a collector that speaks OTLP, OpenTelemetry's protocol, over HTTP. Needs `corral[otel]`.

    Nothing is sent where no endpoint is set, whatever `OTEL_…` variables say.
    """

    endpoint: str | None = None
    """The collector's base address, as `http://127.0.0.1:4318`; `/v1/traces` and `/v1/metrics` are put behind it. What
    is sent to another machine leaves this one: names, times and counts, never prompts, answers, code or paths."""
    headers: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")], SecretStr] = {}
    """Sent with every request: what the collector wants as a key."""
    ca_file: Path | None = None
    """PEM file of a private certificate authority."""
    service_name: str = Field(default="corral", min_length=1)
    """What traces and metrics are filed under."""
    sampling: Annotated[float, Unit("share")] = Field(default=1.0, ge=0, le=1)
    """How many runs and turns are traced, from 0 to 1. A caller's own `traceparent` decides for what it begins."""
    metrics: bool = True
    """Whether metrics are sent too; some collectors take traces only."""
    metrics_seconds: PositiveSeconds = 60
    """How often metrics are sent."""
    timeout_seconds: PositiveSeconds = 10
    """For one request to the collector."""

    @field_validator("endpoint")
    @classmethod
    def _read_endpoint(cls, value: str | None) -> str | None:
        return None if value is None else collector_url(value)

    @field_validator("headers")
    @classmethod
    def _can_be_sent(cls, value: dict[str, SecretStr]) -> dict[str, SecretStr]:
        for secret in value.values():
            text = secret.get_secret_value()
            if not (text.isascii() and text.isprintable()):
                raise ValueError("a header's value has signs that none may have: keep to printable ASCII")
        return value


class DebugSettings(Frozen):
    """For finding faults of Corral's own."""

    asyncio: bool = False
    """Python's own checks of the event loop: slow steps and coroutines that nobody awaited are told. Slows everything
    down."""


class SessionSettings(Frozen):
    """How conversations are kept. The three numbers of the persistence matter in its other modes than `strict`."""

    persistence: Literal["strict", "event_driven", "timer"] = "strict"
    """When a message is on disk: `strict` before it is acknowledged; `event_driven` when none came for a while, and
    `timer` every so often. A crash takes what is not on disk yet."""
    debounce_seconds: PositiveSeconds = 2
    """How long `event_driven` waits for another message before it writes."""
    interval_seconds: PositiveSeconds = 5
    """How often `timer` writes, and how long a message waits at most with `event_driven`."""
    batch: Annotated[int, Unit("messages")] = Field(default=50, ge=1, le=10_000)
    """The most of one session that are written as one."""
    waiting: Annotated[int, Unit("messages")] = Field(default=10_000, ge=1)
    """The most that are only in memory; then the next one waits for a write."""
    loaded: Annotated[int, Unit("sessions")] = Field(default=500, ge=8)
    """How many sessions are in memory with their messages, besides those in use."""
    message_bytes: Bytes = Field(default=4 << 20, ge=1024)
    """The longest message."""


class ConversationSettings(Frozen):
    """What agents may do with one message of a person."""

    calls: Annotated[int, Unit("calls")] = Field(default=20, ge=1, le=200)
    """Answers of models; the last of them has no tools, and says how far they came."""
    handovers: int = Field(default=4, ge=0, le=50)
    """How often one agent may hand over to another."""
    answer_hours: Annotated[float, Unit("hours")] = Field(default=72.0, ge=0, le=10_000)
    """How long a question about a call waits for an answer. Then it counts as a no, and the turn ends and says so.
    0: for ever."""

    @property
    def patience(self) -> timedelta | None:
        """The same as a time; None for ever."""
        return timedelta(hours=self.answer_hours) if self.answer_hours else None


class Settings(Frozen):
    """All of it."""

    servers: tuple[ServerSettings, ...] = ()
    """The Ollama servers. Where nobody names one: `OLLAMA_HOST`, else `http://127.0.0.1:11434`."""
    model: str | None = None
    """The model, or lane, of every role that `roles` does not name. Where nothing names any, the loaded model is taken,
    else the largest; of a simulated server the oracle. Where `roles` names some, the others need it."""
    lanes: dict[str, LaneSettings] = {}
    """Lanes by the name people give them; a plain model name needs no entry."""
    roles: dict[str, str] = {}
    """Role to lane name or model."""
    pool: PoolSettings = PoolSettings()
    run: RunSettings = RunSettings()
    sandbox: SandboxSettings = SandboxSettings()
    tools: ToolSettings = ToolSettings()
    paths: Paths = Field(default_factory=Paths)
    retention: RetentionSettings = RetentionSettings()
    serve: ServeSettings = ServeSettings()
    log: LogSettings = LogSettings()
    telemetry: TelemetrySettings = TelemetrySettings()
    debug: DebugSettings = DebugSettings()
    sessions: SessionSettings = SessionSettings()
    conversation: ConversationSettings = ConversationSettings()

    @field_validator("servers")
    @classmethod
    def _are_different(cls, value: tuple[ServerSettings, ...]) -> tuple[ServerSettings, ...]:
        named: set[str] = set()
        for server in value:
            if server.url in named:
                raise ValueError(f"{server.url} is named twice")
            named.add(server.url)
        return value

    def lane_of(self, name: str) -> LaneSettings:
        """The lane a name stands for: an entry of `lanes`, else the model of that name as the server has it."""
        return self.lanes.get(name) or LaneSettings(model=name)
