"""How judging can fail: a test command that does not start. A red test is a value, never an error."""

_HINT = "Check the command, and that its program can be seen in the sandbox (setting sandbox.read)."


class TestCommandNotStarted(Exception):
    """The test command could not be started: a mistake in it or in the environment, not a red test."""

    __test__ = False  # pytest would take the class for tests

    def __init__(self, command: str, output: str, hint: str = _HINT) -> None:
        super().__init__(f"the test command {command!r} could not be started: {output or 'not found'}")
        self.command = command
        self.output = output
        self.hint = hint
