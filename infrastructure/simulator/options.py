"""Owns a request's `options`: their types, their defaults, and the errors that name them."""

from collections.abc import Mapping
from dataclasses import dataclass

from infrastructure.simulator.golang import Json
from infrastructure.simulator.version import Version

_INTEGERS = frozenset(
    {"num_ctx", "num_batch", "num_gpu", "main_gpu", "num_thread", "draft_num_predict"}
    | {"num_keep", "seed", "num_predict", "top_k", "repeat_last_n"}
)
_FLOATS = frozenset(
    {"top_p", "min_p", "typical_p", "temperature", "repeat_penalty", "presence_penalty", "frequency_penalty"}
)
_BOOLEANS = frozenset({"use_mmap"})
_SMALLEST_WINDOW = 4


class OptionError(Exception):
    """An option of the wrong type; the text is the server's."""


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """The options that belong to a loaded model; one that differs makes the server load it again."""

    num_ctx: int
    num_batch: int
    num_gpu: int
    main_gpu: int | None
    num_thread: int
    use_mmap: bool | None
    draft_num_predict: int
    shift: bool

    def forces_reload(self, wanted: "LoadOptions", version: Version) -> bool:
        """Whether a runner with these options cannot serve a request for the others."""
        differs = any(
            getattr(self, name) != getattr(wanted, name)
            for name in ("num_ctx", "num_batch", "main_gpu", "num_thread", "draft_num_predict")
        )
        if wanted.num_gpu not in (-1, self.num_gpu):
            differs = True
        if version.shift_reloads and self.shift != wanted.shift:
            differs = True
        return differs or (version.mmap_reloads and self.use_mmap != wanted.use_mmap)


@dataclass(frozen=True, slots=True)
class Options:
    """All options of one request, defaults filled in."""

    load: LoadOptions
    num_keep: int
    num_predict: int
    seed: int
    temperature: float
    stop: tuple[str, ...]


def checked(values: Mapping[str, Json]) -> dict[str, Json]:
    """The known options, numbers made whole where the server does.

    Raises:
        OptionError: a value has the wrong type.
    """
    out: dict[str, Json] = {}
    for name, value in values.items():
        if value is None:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if name in _INTEGERS:
            if not number:
                raise OptionError(f'option "{name}" must be of type integer')
            out[name] = int(value)  # pyright: ignore[reportArgumentType] - a number, see above
        elif name in _FLOATS:
            if not number:
                raise OptionError(f'option "{name}" must be of type float32')
            out[name] = value
        elif name in _BOOLEANS:
            if not isinstance(value, bool):
                raise OptionError(f'option "{name}" must be of type boolean')
            out[name] = value
        elif name == "stop":
            out[name] = _stop_words(value)
    return out


def options_of(values: Mapping[str, Json], *, shift: bool | None, num_ctx: int, longest: int) -> Options:
    """Options from checked values.

    Args:
        values: the model's own parameters with the request's over them.
        shift: the request's `shift`; unset means true.
        num_ctx: the server's default window, tokens.
        longest: the model's own context length, tokens, which bounds the window.
    """

    def whole(name: str, default: int) -> int:
        value = values.get(name, default)
        return value if isinstance(value, int) else default

    temperature = values.get("temperature", 0.8)
    stop = values.get("stop")
    main_gpu = values.get("main_gpu")
    mmap = values.get("use_mmap")
    return Options(
        load=LoadOptions(
            num_ctx=max(_SMALLEST_WINDOW, min(whole("num_ctx", num_ctx), longest)),
            num_batch=whole("num_batch", 512),
            num_gpu=whole("num_gpu", -1),
            main_gpu=main_gpu if isinstance(main_gpu, int) else None,
            num_thread=whole("num_thread", 0),
            use_mmap=mmap if isinstance(mmap, bool) else None,
            draft_num_predict=whole("draft_num_predict", 0),
            shift=shift is not False,
        ),
        num_keep=whole("num_keep", 4),
        num_predict=whole("num_predict", -1),
        seed=whole("seed", -1),
        temperature=float(temperature) if isinstance(temperature, int | float) else 0.8,
        stop=tuple(word for word in stop if isinstance(word, str)) if isinstance(stop, list) else (),
    )


def _stop_words(value: Json) -> Json:
    if not isinstance(value, list):
        raise OptionError('option "stop" must be of type array')
    if not all(isinstance(word, str) for word in value):
        raise OptionError('option "stop" must be of an array of strings')
    return value
