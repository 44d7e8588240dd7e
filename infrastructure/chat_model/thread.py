"""The loop and the pool behind the synchronous methods of chat models that were given none.

Owns that there is one of them in a process: chains copy and drop models, and nobody closes one.
"""

from __future__ import annotations

import threading

from infrastructure.connection_pool import OllamaConnectionPool, new_ollama_pool
from infrastructure.pool.forked import tell_when_forked
from infrastructure.pool.loop_thread import LoopThread


class SharedThread:
    """A thread with a loop and a pool, made when first asked for; after a close the next one is new."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: LoopThread[OllamaConnectionPool] | None = None
        tell_when_forked(self)

    def get(self) -> LoopThread[OllamaConnectionPool]:
        """The one of the process."""
        with self._lock:
            self._thread = self._thread or LoopThread(new_ollama_pool, OllamaConnectionPool.aclose)
            return self._thread

    def close(self) -> None:
        """End it; calls under way fail with `PoolClosed`. Safe to repeat.

        Raises:
            WouldBlock: in the loop of the thread; nothing is closed, and it stays the one of the process.
        """
        with self._lock:
            if self._thread is not None:
                self._thread.refuse_own_loop()
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.close()

    def begin_anew(self) -> None:
        """In a forked process: the thread there is begins anew by itself."""
        self._lock = threading.Lock()


shared = SharedThread()


def close_chat_pool() -> None:
    """Close the pool that synchronous calls of chat models without a pool have used, and its thread.

    Blocks until it is done. Not needed at the end of a process. The pool of asynchronous calls is closed by
    `close_ollama_pool`.

    Raises:
        WouldBlock: in the loop of that thread, which would wait for itself; nothing is closed.
    """
    shared.close()
