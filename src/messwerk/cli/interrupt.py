"""Ctrl-C and SIGTERM end a command the same way: its task is cancelled and cleans up."""

from __future__ import annotations

import asyncio
import signal
from contextlib import suppress
from typing import Any


def cancel_on_signal(task: asyncio.Task[Any] | None = None) -> None:
    """Let SIGINT and SIGTERM cancel a task, the current one unless told otherwise."""
    ending = task if task is not None else asyncio.current_task()
    assert ending is not None, "called from a coroutine"
    for number in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):  # Windows: Ctrl-C arrives as a cancellation anyhow
            asyncio.get_running_loop().add_signal_handler(number, ending.cancel)
