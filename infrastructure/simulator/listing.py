"""Owns `/api/tags`, `/api/ps` and `/api/show`: what the server says about its models."""

from infrastructure.simulator.exhibits import model_info, modelfile, parameters_text, tensors
from infrastructure.simulator.golang import Json, JsonObject, dump, timestamp
from infrastructure.simulator.models import Model
from infrastructure.simulator.names import parse_name
from infrastructure.simulator.reading import WireError, read_fields
from infrastructure.simulator.world import World


def tags(world: World) -> bytes:
    """All models, newest first."""
    lengths = world.version.details_in_tags
    models: list[Json] = []
    for model in world.models:
        entry: JsonObject = {
            "name": model.name.shortest,
            "model": model.name.shortest,
            "modified_at": timestamp(model.modified_at),
            "size": model.spec.size,
            "digest": model.digest,
            "details": model.details(lengths=lengths),
        }
        if lengths:
            entry["capabilities"] = [*model.capabilities()]
        models.append(entry)
    return dump({"models": models})


def ps(world: World) -> bytes:
    """The loaded models, the one that stays longest first. One being loaded is not there."""
    scheduler = world.scheduler
    models: list[Json] = []
    ordered = sorted(scheduler.loaded.values(), key=scheduler.expires_at, reverse=True)
    for loaded in ordered:
        model = loaded.runner.model
        models.append(
            {
                "name": model.name.shortest,
                "model": model.name.shortest,
                "size": model.spec.size,
                "digest": model.digest,
                "details": model.details(),
                "expires_at": timestamp(scheduler.expires_at(loaded)),
                "size_vram": world.settings.vram_of(model.spec),
                "context_length": loaded.runner.options.num_ctx,
            }
        )
    return dump({"models": models})


def show(world: World, body: bytes) -> bytes:
    """Everything about one model.

    Raises:
        WireError: it is not named or not there.
    """
    fields = read_fields(body, "ShowRequest")
    asked = fields.text("model") or fields.text("name")
    if not asked:
        raise WireError(400, "model is required")
    name = parse_name(asked)
    if name is None:
        raise WireError(400, "invalid model name")
    model = world.models.find(name)
    if model is None:
        shown = name.shortest if world.version.child_server else asked
        raise WireError(404, f"model '{shown}' not found")
    return dump(_shown(world, model))


def _shown(world: World, model: Model) -> JsonObject:
    out: JsonObject = {"modelfile": modelfile(model), "parameters": parameters_text(model)}
    if not out["parameters"]:
        del out["parameters"]
    out["template"] = model.template_text()
    if model.spec.system:
        out["system"] = model.spec.system
    details = model.details()
    if not world.version.child_server and not model.spec.parent_model:
        details["parent_model"] = f"/models/blobs/sha256-{model.weights}"
    out |= {
        "details": details,
        "model_info": model_info(model, world.version),
        "tensors": tensors(model, world.version),
        "capabilities": [*model.capabilities()],
        "modified_at": timestamp(model.modified_at),
    }
    return out
