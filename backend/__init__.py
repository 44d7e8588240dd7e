"""SPEAK. Doors for people and programs; no logic."""
