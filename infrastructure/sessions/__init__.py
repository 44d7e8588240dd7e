"""Sessions: their messages, their agents, and what people were asked in them."""
