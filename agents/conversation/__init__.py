"""Agents that talk: each answers one message of a session, with tools, and may hand over to another."""
