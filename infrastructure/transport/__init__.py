"""The wire: a typed client of the Ollama API, over HTTP/1.1 and HTTP/2.

Owns everything that names an HTTP client. Above it people speak of requests, chunks and errors only.
"""
