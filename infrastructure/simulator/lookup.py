"""Owns finding the model that a request names, and the errors where it cannot be used."""

from infrastructure.simulator.asks import Ask
from infrastructure.simulator.golang import JsonObject
from infrastructure.simulator.models import Model
from infrastructure.simulator.names import parse_name
from infrastructure.simulator.options import OptionError, Options, checked, options_of
from infrastructure.simulator.reading import WireError
from infrastructure.simulator.world import World


def model_for(world: World, ask: Ask) -> Model:
    """The model of a chat or generate request.

    Raises:
        WireError: it is not named, not valid or not there.
    """
    name = parse_name(ask.model)
    if ask.chat and not ask.model:
        raise WireError(400, "model is required")
    if ask.model and name is None:
        raise WireError(400, "invalid model name")
    model = world.models.find(name) if name else None
    if model is None:
        raise WireError(404, f"model '{ask.model}' not found")
    return model


def check_capable(world: World, ask: Ask, model: Model) -> None:
    """Whether the model can do what is asked.

    Raises:
        WireError: it cannot.
    """
    if model.spec.pooling:
        raise WireError(400, f'"{ask.model}" does not support {"chat" if ask.chat else "generate"}')
    if ask.suffix:
        raise WireError(400, f"{model.name} does not support insert")
    if ask.conversation.tools and not model.can_use_tools(world.version):
        raise WireError(400, f"{model.name} does not support tools")
    if ask.think and not model.can_think:
        raise WireError(400, f'"{ask.model}" does not support thinking')


def options_for(world: World, model: Model, values: JsonObject, shift: bool | None = None) -> Options:
    """The request's options over the model's own.

    Raises:
        WireError: one has the wrong type.
    """
    try:
        own: JsonObject = {
            name: [*value] if isinstance(value, list) else value for name, value in model.spec.parameters.items()
        }
        merged = checked({**own, **checked(values)})
    except OptionError as error:
        raise WireError(500, str(error)) from error
    return options_of(merged, shift=shift, num_ctx=world.settings.num_ctx, longest=model.spec.context_length)
