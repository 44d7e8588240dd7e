"""The only place that says where the simulator may differ from a recording of the real server."""

import re
from collections.abc import Callable

HEADERS = ("X-Corral-Simulated",)
"""Headers that the simulator adds. (The recordings leave out Date; a length follows from the body.)"""

FIELDS_ADDED = {"/api/version": ("simulated",)}

MASKED: dict[str, re.Pattern[str]] = {
    # name of a field -> what its value looks like in both; the value itself may differ
    "created_at": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"),
    "modified_at": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"),
    "expires_at": re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z"),
    "total_duration": re.compile(r"[1-9]\d*"),
    "load_duration": re.compile(r"[1-9]\d*"),
    "prompt_eval_duration": re.compile(r"[1-9]\d*"),
    "eval_duration": re.compile(r"[1-9]\d*"),
    "logprob": re.compile(r"0|-71\.4\d*"),  # rounds in another way from one processor to the next
    "size": re.compile(r"[1-9]\d*"),
    "digest": re.compile(r"[0-9a-f]{64}"),
    "id": re.compile(r"call_[a-z0-9]{8}|[A-Za-z0-9]{32}"),
}
SHA256 = re.compile(r"sha256-[0-9a-f]{64}")
"""Digests inside a text."""

NUMBERS = ("embeddings", "embedding")
"""Vectors: how many there are must agree, not their values (the recordings keep three of each)."""

UNORDERED = ("/api/tags",)
"""Lists in the order in which the models happened to be made."""

RANDOM_TEXT = (
    "chat format json",
    "chat format schema",
    "chat format schema whole",
    "native chat format schema",
)
"""What a model says under a grammar: its text and token count may differ, the shape of the answer may not."""

NOT_IMITATED = ('POST /api/generate {"model":"words","prompt":"hi","template":"{{ if .System }}x{{ end }}"}',)
"""A request's own template with logic: the simulator refuses it aloud, since it renders plain fields only."""

NOT_SERVED: Callable[[str], bool] = re.compile(r"/v1/.*|/api/(copy|delete|create|blobs/.*)").fullmatch  # pyright: ignore[reportAssignmentType] - a match is true
"""Routes of the recordings that the simulator does not have; EFFECTS does what matters later."""

EFFECTS = {
    "copy": ("copy", "words", "words-copy", {}),
    "delete": ("remove", "words-copy"),
    "create from a model": (
        "copy",
        "words",
        "words-brief",
        {
            "system": "be brief",
            "parameters": {"temperature": 0, "num_predict": 2, "stop": ["<|im_end|>"]},
            "parent_model": "words:latest",
        },
    ),
    "delete the created": ("remove", "words-brief"),
}

ANY_ORDER_OF_PARAMETERS = ("show the created",)
"""The real server writes a made model's parameters in no fixed order (a Go map)."""
