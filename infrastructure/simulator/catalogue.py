"""Owns the sets of models that a simulated server can start with."""

from collections.abc import Mapping

from infrastructure.simulator.settings import ModelSpec


def default_models() -> tuple[ModelSpec, ...]:
    """Echo, random, schema, oracle and an embedder."""
    chatty = tuple(
        ModelSpec(name=name, brain=name, any_tag=name == "oracle", parameters={"stop": ["<|im_end|>"]})
        for name in ("echo", "random", "schema", "oracle")
    )
    embedder = ModelSpec(
        name="embedder", brain="embedder", template="plain", pooling=True, size=100_000_000, parameter_size="100M"
    )
    return (*chatty, embedder)


_ALPHABET = (
    "alpha bravo charlie delta echo foxtrot golf hotel india juliett kilo lima mike november oscar papa quebec"
    " romeo sierra tango uniform victor whiskey xray yankee zulu"
)
_NATO = _ALPHABET.split()
_WORDS = (_NATO[0], *(f" {word}" for word in _NATO[1:]))
_CALL = ("<tool_call>", '{"name": "get_weather", ', '"arguments": {"city": ', '"Paris"}}', "</tool_call>")
_SCRIPTS: dict[str, tuple[tuple[str, ...], int | None]] = {
    "words": (_WORDS, None),
    "endless": (_WORDS, 0),
    "repeat": (("stuck", " again"), 1),
    "tool": (_CALL, None),
    "tools": (
        (
            *(*_CALL[:4], "</tool_call>\n", "<tool_call>{", '"name": "get_time", '),
            *('"arguments": {"zone": "CET"', "}}", "</tool_call>"),
        ),
        None,
    ),
    "broken-tool": (_CALL[:3], None),
    "thinking": (("<think>", "let me", " see", "</think>", "the answer", " is 42"), None),
    "unicode": (
        ("caf", "é", " in ", "日本", "🙂", "a\u0085b", "\u2028", "<b>&", "\x1b[31m", " end"),
        None,
    ),
    "native": (_WORDS, None),
    "native-endless": (_WORDS, 0),
    "native-repeat": (("stuck", " again"), 1),
    "native-tool": (("<tool_call>\n", *_CALL[1:4], "\n</tool_call>"), None),
    "fence": (("```python", "\nprint(", "'hi')", "\n```", "\ndone"), None),
}


def script_models(weights: Mapping[str, str] | None = None) -> tuple[ModelSpec, ...]:
    """The models that the recordings were made with: fixed texts, two that say noise, an embedder.

    Args:
        weights: digests of their weights, by name; of models equal otherwise they decide which is evicted.
    """
    digests = weights or {}
    scripts = tuple(_script(name, pieces, loop_to) for name, (pieces, loop_to) in _SCRIPTS.items())
    noise = {"noise-small": "2.77M", "noise-large": "156.26M", "embedder": "1.46M"}
    others = tuple(
        ModelSpec(
            name=name,
            brain="embedder" if name == "embedder" else "random",
            pooling=name == "embedder",
            tokenizer="bytes",
            family="llama",
            parameter_size=size,
            embedding_length=1024 if name == "noise-large" else 256,
            parameters={"stop": ["<|im_end|>"]},
        )
        for name, size in noise.items()
    )
    return tuple(spec.model_copy(update={"weights": digests.get(spec.name)}) for spec in scripts + others)


def _script(name: str, pieces: tuple[str, ...], loop_to: int | None) -> ModelSpec:
    native = name.startswith("native")
    return ModelSpec(
        name=name,
        pieces=pieces,
        loop_to=loop_to,
        template="native" if native else "thinking" if name == "thinking" else "chatml",
        tokenizer="bytes",
        family="llama",
        parameter_size="646K",
        embedding_length=320,
        size=1_301_461,
        parameters={"stop": ["<|im_end|>"], "temperature": 0},
    )
