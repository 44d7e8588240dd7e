"""The conversation graph: turns of agents that talk, their tools, and who owns them."""
