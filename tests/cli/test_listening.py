"""What a person is told when nobody can listen at an address."""

from __future__ import annotations

import errno
import socket

import pytest

from backend.cli.listening import not_listening


@pytest.mark.parametrize(
    ("error", "port", "tried", "said", "hint"),
    [
        (OSError(errno.EADDRINUSE, "Address already in use"), 8765, 1, "port 8765 is taken on gpu", "--port"),
        (OSError(errno.EADDRINUSE, "x"), 8765, 20, "the ports 8765 to 8784 are taken on gpu", "--port"),
        (OSError(errno.EADDRNOTAVAIL, "x"), 8765, 1, "gpu is no address of this machine", "--host"),
        (PermissionError(errno.EACCES, "Permission denied"), 80, 1, "port 80 is for root only", "from 1024 on"),
        (PermissionError(errno.EACCES, "Permission denied"), 8080, 1, "port 8080: Permission denied", "--port"),
        (socket.gaierror(-2, "Name or service not known"), 8765, 1, "nothing is known by the name 'gpu'", "127.0.0.1"),
        (OSError("odd"), 8765, 1, "nobody can listen at gpu, port 8765: odd", "--port"),
    ],
)
def test_reason_is_in_words_and_the_exit_code_is_that_of_the_environment(
    error: OSError, port: int, tried: int, said: str, hint: str
) -> None:
    refused = not_listening("gpu", port, error, tried=tried)
    assert said in str(refused)
    assert hint in refused.hint
    assert "Errno" not in str(refused)
    assert refused.exit_code == 3
