"""Lanes: a model with the load-time options that decide whether a server must reload it.

Owns which options are load-time (facts: Ollama `needsReload`), the identity of a lane, and how a call's own options
are split into the lane's and the rest.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Self, TypeAlias, TypeVar, cast
from weakref import WeakValueDictionary

from infrastructure.config.settings import LaneSettings
from infrastructure.transport.encoding import is_cloud

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agents.model import Options

LOAD_OPTIONS = ("num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "draft_num_predict")
"""Options that reload the model when they differ from the loaded ones."""

_LEAST = {
    "num_ctx": "it is a window in tokens, of prompt and answer together; leave it out for the one the server gives",
    "num_batch": "it is how many tokens of a prompt are evaluated at a time; leave it out for the server's own",
}
"""Options that are sizes, so that no number below 1 can be meant, with what is said then."""
_LANES_TOLD = 100
_LANES_KEPT = 1000
_log = logging.getLogger(__name__)

LoadValue: TypeAlias = int | bool
Key = TypeVar("Key")
Value = TypeVar("Value")


class BadOption(ValueError):
    """An option has a value that cannot be meant."""

    def __init__(self, name: str, value: object, wanted: str = "must be a whole number or a boolean") -> None:
        self.name = name
        self.value = value
        super().__init__(f"option {name!r} {wanted}, not {value!r}")


class Lane:
    """A model and exactly the load-time options that are set. Equal lanes share slots and never reload each other.

    There is one object for equal lanes, so that they are compared and looked up by identity: that is done dozens of
    times for each decision.
    """

    __slots__ = ("__weakref__", "cloud", "load", "model", "num_batch", "shift")

    model: str
    """Canonical name: see `canonical`."""
    load: tuple[tuple[str, LoadValue], ...]
    """Sorted by name."""
    shift: bool | None
    """Also a launch flag of the runner from 0.30 on."""
    cloud: bool
    """Whether it runs elsewhere, so that no server has to load it."""
    num_batch: int | None
    """Tokens of a prompt that a server evaluates at a time, where the lane says so."""

    def __new__(cls, model: str, load: tuple[tuple[str, LoadValue], ...] = (), shift: bool | None = None) -> Self:
        """The lane; the same object as for equal arguments before, while that is in use."""
        key = (cls, model, load, tuple(type(value) for _, value in load), shift)  # 1 is not True to a server
        known = _LANES.get(key)
        if known is not None:
            return cast("Self", known)
        lane = super().__new__(cls)
        values = {"model": model, "load": load, "shift": shift}
        for name, value in (values | {"cloud": is_cloud(model), "num_batch": dict(load).get("num_batch")}).items():
            object.__setattr__(lane, name, value)
        _LANES[key] = lane
        return lane

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a lane does not change: {name} cannot be set")

    def __reduce__(self) -> tuple[type[Lane], tuple[object, ...]]:
        """A copy is the lane itself."""
        return Lane, (self.model, self.load, self.shift)

    def __repr__(self) -> str:
        return f"Lane({self.model!r}, {self.load!r}, {self.shift!r})"

    def __str__(self) -> str:
        parts = [f"{name}={value}" for name, value in self.load]
        if self.shift is not None:
            parts.append(f"shift={self.shift}")
        return f"{self.model} ({', '.join(parts)})" if parts else self.model

    @property
    def num_ctx(self) -> int | None:
        """The window the lane asks for, in tokens."""
        return dict(self.load).get("num_ctx") if self.load else None

    @property
    def options(self) -> dict[str, LoadValue]:
        """What is sent with every call of the lane."""
        return dict(self.load)


_LANES: WeakValueDictionary[tuple[object, ...], Lane] = WeakValueDictionary()


def canonical(model: str) -> str:
    """The name under which a server knows the model: lower case, tag given, default registry and namespace dropped."""
    name = model.strip().lower()
    for prefix in ("registry.ollama.ai/", "library/"):
        name = name.removeprefix(prefix)
    last = name.rpartition("/")[2]
    return name if ":" in last else f"{name}:latest"


def lane_of(settings: LaneSettings, options: Options) -> Lane:
    """The lane a call belongs to: the settings' load-time options, overridden by the call's own.

    Raises:
        BadOption: a load-time option of the call is neither a whole number nor a boolean, or a size below 1.
    """
    load: dict[str, LoadValue] = {}
    for name in LOAD_OPTIONS:
        value: object = options[name] if name in options else getattr(settings, name)
        if value is None:
            continue
        if not isinstance(value, (int, bool)):
            raise BadOption(name, value)
        if name in _LEAST and (isinstance(value, bool) or value < 1):
            raise BadOption(name, value, f"must be a whole number from 1 on ({_LEAST[name]})")
        load[name] = value
    return Lane(canonical(settings.model), tuple(sorted(load.items())), settings.shift)


def call_options(options: Options) -> Options:
    """A call's options without the load-time ones, which its lane carries."""
    return {name: value for name, value in options.items() if name not in LOAD_OPTIONS}


class LaneBook:
    """Lanes by the name people give them, else by model; a plain model name needs no entry."""

    def __init__(self, lanes: Mapping[str, LaneSettings], like: LaneBook | None = None) -> None:
        """A book of these lanes, which shares what `like` has learned of models, now and later."""
        self._named: dict[str, LaneSettings] = {}
        self._told: set[Lane] = set() if like is None else like._told
        self._wider: dict[str, int] = {} if like is None else like._wider
        self._configured: dict[str, LaneSettings] = {}
        self._usual: dict[int, tuple[LaneSettings, Lane]] = {}
        self._by_model: dict[str, LaneSettings] = {}
        self.replace(lanes)

    def replace(self, lanes: Mapping[str, LaneSettings]) -> bool:
        """These are the lanes from now on; whether they are others. What was learned of models stays."""
        if self._named == lanes:
            return False
        self._named = dict(lanes)
        self._by_model = {canonical(lane.model): lane for lane in reversed(list(lanes.values()))}
        self._configured.clear()
        self._usual.clear()
        return True

    def configured(self, name: str) -> LaneSettings:
        """What a lane name or a model name stands for."""
        found = self._configured.get(name)
        if found is None:
            _check_name(name)
            found = self._named.get(name) or self._by_model.get(canonical(name)) or LaneSettings(model=name)
            _keep(self._configured, name, found)
        return found

    def settings(self, name: str) -> LaneSettings:
        """As `configured`, with the larger window that turned out to be needed where none is configured."""
        found = self.configured(name)
        if not self._wider or found.num_ctx is not None:
            return found
        window = self._wider.get(canonical(found.model))
        return found if window is None else found.model_copy(update={"num_ctx": window})

    def lasts(self, model: str) -> bool:
        """Whether the settings say for how long the model (canonical name) stays in memory after a call."""
        found = self._by_model.get(model)
        return found is not None and found.keep_alive is not None

    def widen(self, model: str, num_ctx: int) -> bool:
        """From now on, the lanes of the model without a window of their own have this one; whether it is larger."""
        name = canonical(model)
        if self._wider.get(name, 0) >= num_ctx:
            return False
        self._wider[name] = num_ctx
        return True

    def split(self, settings: LaneSettings, options: Options) -> tuple[Lane, Options]:
        """The lane of a call and the options that are the call's own.

        A lane that differs from the settings' is said in the log, once: it makes servers reload the model.
        """
        usual = self._usual_lane(settings)
        if options.keys().isdisjoint(LOAD_OPTIONS):
            return usual, options
        lane = lane_of(settings, options)
        if lane != usual and lane not in self._told and len(self._told) < _LANES_TOLD:
            self._told.add(lane)
            _log.warning(
                "%s differs from its lane %s in load-time options: each change between them reloads the model",
                lane,
                usual,
            )
        return lane, call_options(options)

    def _usual_lane(self, settings: LaneSettings) -> Lane:
        """The lane of a call without load-time options of its own; settings are frozen, so one lane for each."""
        known = self._usual.get(id(settings))
        if known is not None and known[0] is settings:
            return known[1]
        lane = lane_of(settings, {})
        _keep(self._usual, id(settings), (settings, lane))
        return lane


def _check_name(name: object) -> None:
    if not isinstance(name, str):
        raise TypeError(f"a model or lane is named by text, not by {name!r}")


def _keep(table: dict[Key, Value], key: Key, value: Value) -> None:
    """Remember, but not without end: names may come from anywhere."""
    if len(table) >= _LANES_KEPT:
        table.clear()
    table[key] = value
