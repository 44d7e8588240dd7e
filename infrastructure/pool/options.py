"""Ollama's options by name.

Owns the list of them, for where options stand beside other arguments: an unknown name there would be sent, and count
for nothing, since a server ignores what it does not know.
"""

from __future__ import annotations

from collections.abc import Mapping

from infrastructure.pool.lanes import LOAD_OPTIONS

OPTIONS = frozenset(
    (
        *LOAD_OPTIONS,
        "frequency_penalty",
        "low_vram",
        "min_p",
        "mirostat",
        "mirostat_eta",
        "mirostat_tau",
        "num_keep",
        "num_predict",
        "numa",
        "penalize_newline",
        "presence_penalty",
        "repeat_last_n",
        "repeat_penalty",
        "seed",
        "stop",
        "temperature",
        "tfs_z",
        "top_k",
        "top_p",
        "typical_p",
        "use_mlock",
        "vocab_only",
    )
)
"""Those that may be given by name. Any other goes into an `options` mapping, as a newer server may know more."""

_BY_NAME = "give options by name, as in generate(prompt, temperature=0)"
_IN_CHAT = "it is an argument of chat()"
_ELSEWHERE = {
    "call": "bind it: llm.bound(call=Call(…))",
    "deadline": "bind it: llm.bound(call=Call(deadline=…))",
    "format": "it is an argument of chat(); structured() gives a typed value",
    "images": "they go into the messages of chat()",
    "keep_alive": "it belongs to the lane: [lanes.NAME] keep_alive",
    "max_tokens": "it is num_predict to Ollama",
    "messages": _IN_CHAT,
    "model": "it is the object's own: AsyncLocalLLM(model)",
    "options": _BY_NAME,
    "raw": "it is an argument of the pool's generate()",
    "stream": "stream() gives the answer piece by piece",
    "suffix": "it is an argument of the pool's generate()",
    "system": 'give it to chat() as a message: {"role": "system", "content": …}',
    "think": "it is an argument of chat(), and of AsyncLocalLLM for all calls",
    "timeout": "bind it: llm.bound(call=Call(deadline=…))",
    "tools": _IN_CHAT,
}
_UNKNOWN = "options that are not in Ollama's documentation go into AsyncLocalLLM(model, options={…})"


def check_named(options: Mapping[str, object]) -> None:
    """See that these are options, where they are given by name.

    Raises:
        TypeError: one is none; the text says where it belongs.
    """
    for name, value in options.items():
        if name not in OPTIONS:
            raise TypeError(f"{name!r} is no option: {_ELSEWHERE.get(name, _UNKNOWN)}")
        if isinstance(value, Mapping):
            raise TypeError(f"{name!r} is a mapping: {_BY_NAME}")


def check_elsewhere(options: Mapping[str, object]) -> None:
    """See that none of these, which may be unknown, is the name of something else.

    Raises:
        TypeError: one is; the text says where it belongs.
    """
    for name in options:
        if name in _ELSEWHERE:
            raise TypeError(f"{name!r} is no option: {_ELSEWHERE[name]}")
