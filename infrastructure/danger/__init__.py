"""How dangerous a tool call is: judged by code that reads command lines and paths, never by a model."""
