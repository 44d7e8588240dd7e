"""The settings that hold: what they are, where each comes from, and reading them again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, JsonValue

from backend.dependencies import App
from backend.problems import answers
from infrastructure.config.errors import ConfigError
from infrastructure.config.manager import ConfigurationManager, NotReloaded

router = APIRouter(prefix="/api/v1/config", tags=["config"])

_PROBLEM: JsonValue = "file /home/you/.config/corral/corral.toml: pool.num_predict: 0 is not accepted; write 1 or more"
_EXAMPLE: dict[str, JsonValue] = {
    "settings": {
        "servers": [{"url": "http://gpu1:11434", "name": "gpu1", "token": "**********"}],
        "model": "qwen2.5-coder:14b",
        "serve": {"host": "127.0.0.1", "port": 8765},
    },
    "origins": {"servers": "file /home/you/.config/corral/corral.toml", "serve.port": "default"},
    "file": "/home/you/.config/corral/corral.toml",
    "watched": True,
    "problems": [_PROBLEM],
    "waiting": ["serve.port"],
}
_RELOADED: dict[str, JsonValue] = {"changed": ["pool.queue_length", "serve.port"], "later": ["serve.port"]}


class ConfigView(BaseModel):
    """The settings that hold now."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _EXAMPLE})

    settings: dict[str, JsonValue]
    """As `corral config --output json` has them; secrets as stars."""
    origins: Mapping[str, str]
    """By dotted name: "default", "file PATH", "environment NAME" or "flag"; of the settings as they were read last."""
    file: str | None
    """The settings file; null where the settings are fixed."""
    watched: bool
    """Whether a change of the file is noticed by itself."""
    problems: tuple[str, ...]
    """Why the file, as it was read last, cannot be used: then the settings before it hold."""
    waiting: tuple[str, ...]
    """Settings that the file has otherwise, and that want a new start."""


class ConfigReload(BaseModel):
    """What a reload has changed."""

    model_config = ConfigDict(frozen=True, json_schema_extra={"example": _RELOADED})

    changed: tuple[str, ...]
    """Dotted names; empty where everything is as it was."""
    later: tuple[str, ...]
    """Those of them that want a new start."""


@router.get("", response_model=ConfigView, responses=answers())
async def read_config(app: App) -> object:
    """Show the settings that hold, without secrets."""
    return view_of(app.config)


@router.post("/reload", response_model=ConfigReload, responses=answers(409, 422))
async def reload_config(app: App) -> object:
    """Read the settings again. Where they cannot be used, those before stay, and the refusal says why."""
    news = await app.config.reload()
    if isinstance(news, NotReloaded):
        raise ConfigError(*news.problems)
    return ConfigReload(changed=news.changed, later=news.later)


def view_of(config: ConfigurationManager) -> ConfigView:
    """The settings as they are shown."""
    return ConfigView(
        settings=cast("dict[str, JsonValue]", config.current.model_dump(mode="json")),
        origins=dict(config.origins),
        file=None if config.file is None else str(config.file),
        watched=config.watched,
        problems=tuple(map(str, config.problems)),
        waiting=config.waiting,
    )
