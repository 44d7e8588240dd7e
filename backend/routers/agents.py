"""Agents: who can speak in a session."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from backend.dependencies import ConversationsDep
from backend.problems import answers

router = APIRouter(prefix="/api/v1", tags=["sessions"])


class AgentView(BaseModel):
    """An agent."""

    model_config = ConfigDict(frozen=True)

    name: str
    about: str
    """One line: what it does."""


class AgentPage(BaseModel):
    """The agents there are, the six first."""

    model_config = ConfigDict(
        frozen=True, json_schema_extra={"example": {"agents": [{"name": "ask", "about": "Answers questions."}]}}
    )

    agents: tuple[AgentView, ...]


@router.get("/agents", response_model=AgentPage, responses=answers())
async def list_agents(conversations: ConversationsDep) -> object:
    """List who can be named in a session or a message, custom agents among them."""
    profiles = map(conversations.router.profile, conversations.router.names)
    return AgentPage(agents=tuple(AgentView(name=str(each.name), about=each.about) for each in profiles))
