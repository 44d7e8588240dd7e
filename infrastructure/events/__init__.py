"""What happens in a run: the catalogue of events, and the log that keeps and publishes them."""
