"""The demo's sample repository and tasks, with the answers that the simulated Ollama knows."""
