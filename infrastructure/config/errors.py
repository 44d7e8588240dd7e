"""What a person is told when a setting is wrong: where it stands, what is wrong, what to write instead."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong."""

    origin: str
    """Where it was set: "file PATH", "environment NAME" or "flag"; empty where a person has just said it."""
    name: str
    """The dotted name of the setting; empty when it is the file as a whole."""
    what: str
    instead: str = ""
    """What to write."""
    meant: str = ""
    """The name that was probably meant, where there is no such setting."""
    mend: str = ""
    """What to do next, where its place does not say it."""

    def __str__(self) -> str:
        place = ": ".join(part for part in (self.origin, self.name) if part)
        advice = f"; did you mean {self.meant}?" if self.meant else f"; write {self.instead}" if self.instead else ""
        return f"{place}: {self.what}{advice}"


def no_such_setting(origin: str, name: str, meant: str) -> Problem:
    """A name that stands for nothing; `meant` may be empty."""
    return Problem(origin, name, "there is no such setting", meant=meant)


def unreadable(file: Path, what: str, instead: str = "") -> Problem:
    """A file that is no settings file as a whole; `corral config set` changes none of it."""
    return Problem(f"file {file}", "", what, instead, mend=f"Edit {file}: no command can change it as it is.")


class ConfigError(Exception):
    """The settings cannot be used. `problems` has everything that was found wrong, never empty."""

    def __init__(self, *problems: Problem) -> None:
        self.problems = problems
        super().__init__("; ".join(map(str, problems)))

    @property
    def hint(self) -> str:
        """What to do next, by where the first problem stands."""
        if self.problems[0].mend:
            return self.problems[0].mend
        place, _, name = self.problems[0].origin.partition(" ")
        if place == "environment":
            return f"Correct it, or `unset {name}`."
        if place == "file":
            return (
                "`corral config set NAME VALUE` corrects a setting of the file, `corral config unset NAME` removes it."
            )
        return "`corral config` lists every setting."
