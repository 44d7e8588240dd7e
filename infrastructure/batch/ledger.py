"""The ledger: by which key a run was begun for an identity, written down before the run exists.

It closes the gap between the end of a run and its record: after a kill, the key leads to the run, and the runs table
knows whether it is finished, can go on, or was never begun.
"""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, ValidationError

from infrastructure.batch.errors import UnreadableLine
from infrastructure.batch.lines import JsonLines, read_lines
from infrastructure.batch.place import BatchPlace
from infrastructure.storage.runs import RequestKey


class Intent(BaseModel):
    """One line: a run is about to be begun by this key. The last line of an identity rules."""

    model_config = ConfigDict(frozen=True)

    identity: str
    key: str
    job_id: str
    sample_index: int


class Ledger:
    """The intents of a batch. Every method but `key_of` blocks; threads may share it."""

    def __init__(self, place: BatchPlace) -> None:
        self._file = JsonLines(place.ledger)
        self._keys: dict[str, RequestKey] = {}
        for number, line in enumerate(read_lines(place.ledger), 1):
            try:
                intent = Intent.model_validate_json(line)
            except ValidationError as error:
                raise UnreadableLine(place.ledger, number, str(error.errors()[0]["msg"])) from error
            self._keys[intent.identity] = _key(intent)

    def key_of(self, identity: str) -> RequestKey | None:
        """The key that was written down last for an identity."""
        return self._keys.get(identity)

    def intend(self, intent: Intent) -> None:
        """Write an intent down; it is on disk when this returns."""
        self._file.append(intent.model_dump_json().encode())
        self._keys[intent.identity] = _key(intent)

    def close(self) -> None:
        """Close. Idempotent."""
        self._file.close()


def _key(intent: Intent) -> RequestKey:
    return RequestKey(intent.key, intent.identity)
