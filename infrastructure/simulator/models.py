"""Owns what a simulated model is: its names, digests, details, capabilities and prompt format."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from infrastructure.simulator import templates
from infrastructure.simulator.golang import Json, JsonObject
from infrastructure.simulator.names import Name, parse_name
from infrastructure.simulator.settings import ModelSpec
from infrastructure.simulator.tokens import ByteTokenizer, Tokenizer, WordTokenizer
from infrastructure.simulator.version import Version


@dataclass(frozen=True, slots=True)
class Model:
    """A model in the server's store."""

    name: Name
    spec: ModelSpec
    modified_at: float
    """Seconds since the epoch."""
    tokenizer: Tokenizer
    pieces: tuple[str, ...]
    """What a script model says, a token each."""
    weights: str
    """Digest of the weights, which models that share a runner have in common."""
    digest: str
    """Digest of the model's manifest, which has no name in it: that of a copy is the same."""

    @property
    def native(self) -> bool:
        """Whether its chat template is in the weights file."""
        return self.spec.template == "native"

    def can_use_tools(self, version: Version) -> bool:
        """Whether the server takes tools for it."""
        return self.spec.template in ("chatml", "thinking") or (self.native and version.child_server)

    @property
    def can_think(self) -> bool:
        """Whether its template knows thinking."""
        return self.spec.template == "thinking"

    def capabilities(self) -> list[str]:
        """As `/api/tags` and `/api/show` list them."""
        if self.spec.pooling and self.spec.template == "plain":
            return ["embedding"]
        able = {
            "chatml": ["completion", "tools"],
            "thinking": ["completion", "tools", "thinking"],
        }.get(self.spec.template, ["completion"])
        return [*able, "vision"] if self.spec.vision else able

    def details(self, *, lengths: bool = False) -> JsonObject:
        """The `details` object; with context and embedding lengths where the version lists them."""
        spec = self.spec
        out: JsonObject = {
            "parent_model": spec.parent_model,
            "format": "gguf",
            "family": spec.family,
            "families": [spec.family],
            "parameter_size": spec.parameter_size,
            "quantization_level": spec.quantization_level,
        }
        if lengths:
            out |= {"context_length": spec.context_length, "embedding_length": spec.embedding_length}
        return out

    def template_text(self) -> str:
        """The template as the Modelfile has it."""
        named = {"chatml": templates.CHATML, "thinking": templates.THINKING}
        return named.get(self.spec.template, templates.PLAIN)

    def render(self, conversation: templates.Conversation, version: Version) -> str:
        """The prompt for a conversation."""
        if self.spec.template == "plain" or (self.native and not version.child_server):
            return templates.render_plain(conversation)
        if self.native:
            return templates.render_native(conversation)
        return templates.render_chatml(conversation, thinking=self.can_think)


class ModelStore:
    """The models on the server's disk, by name. Names that differ only in case are one."""

    def __init__(self, specs: Sequence[ModelSpec], now: float) -> None:
        self._models: dict[str, Model] = {}
        self._any_tag: list[Model] = []
        for index, spec in enumerate(specs):
            self.add(spec, now - index * 1e-6)

    def __iter__(self) -> Iterator[Model]:
        return iter(sorted(self._models.values(), key=lambda model: -model.modified_at))

    def find(self, name: Name) -> Model | None:
        """The model of that name, if there is one."""
        model = self._models.get(name.key)
        if model is None:
            untagged = name.key.rpartition(":")[0]
            model = next((one for one in self._any_tag if one.name.key.rpartition(":")[0] == untagged), None)
        return model

    def add(self, spec: ModelSpec, now: float) -> Model:
        """Put a model in the store.

        Raises:
            ValueError: its name is no model name.
        """
        name = parse_name(spec.name)
        if name is None:
            raise ValueError(f"not a model name: {spec.name!r}")
        pieces, tokenizer = _voice(spec)
        weights = spec.weights or _digest(f"weights of {name.key}")
        manifest = spec.model_dump_json(exclude={"name", "weights"})
        model = Model(name, spec, now, tokenizer, pieces, weights, _digest(f"manifest of {weights} {manifest}"))
        self._models[name.key] = model
        if spec.any_tag:
            self._any_tag.append(model)
        return model

    def copy(self, source: str, destination: str, now: float, **changes: Json) -> Model:
        """Make a model of the same weights under another name, with changed fields of its spec.

        Raises:
            LookupError: there is no such source.
        """
        name = parse_name(source)
        model = self.find(name) if name else None
        if model is None:
            raise LookupError(source)
        update: JsonObject = {"name": destination, "weights": model.weights, **changes}
        return self.add(ModelSpec.model_validate(model.spec.model_dump() | update), now)

    def remove(self, name: str) -> None:
        """Take a model out of the store; a runner that is loaded stays.

        Raises:
            LookupError: there is no such model.
        """
        parsed = parse_name(name)
        if parsed is None or self._models.pop(parsed.key, None) is None:
            raise LookupError(name)


def _voice(spec: ModelSpec) -> tuple[tuple[str, ...], Tokenizer]:
    """A script's pieces and the model's tokenizer."""
    words = WordTokenizer()
    pieces = spec.pieces or ()
    if spec.text is not None:
        pieces = tuple(spec.text if spec.tokenizer == "bytes" else words.pieces(spec.text))
    if spec.tokenizer == "bytes":
        return pieces, ByteTokenizer(spec.pieces or ())
    return pieces, words


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
