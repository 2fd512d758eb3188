"""Running until a source ends, somebody presses Ctrl-C, or for ever with reconnection."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import aclosing
from typing import Any, Final

from ..errors import LocalError, MesswerkError, PeerLost
from ..link.endpoint import Source, chunks
from .interrupt import cancel_on_signal

RETRY_S: Final = 1.0
MAX_RETRY_S: Final = 30.0
"""Pause before the first and before later attempts to reconnect; it doubles in between."""

Take = Callable[[bytes], Awaitable[bool]]
"""Is handed each piece of bytes and says whether it has had enough."""


def run_interruptible(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work` to its end or until SIGINT or SIGTERM cancels it; True when interrupted.

    Unlike `asyncio.run` alone this also works where the shell starts the program with SIGINT
    ignored, as shells do in the background.
    """

    async def watched() -> bool:
        task = asyncio.ensure_future(work)
        cancel_on_signal(task)
        try:
            await task
        except asyncio.CancelledError:
            return True
        return False

    return asyncio.run(watched())


async def pump(source: Source, take: Take, *, silence_s: float | None) -> None:
    """Hand every piece of a source to `take` until either has had enough.

    Raises what the source raises: SourceError, BusyError, PeerLost.
    """
    async with aclosing(chunks(source, silence_s=silence_s)) as pieces:
        async for piece in pieces:
            if await take(piece):
                return


async def follow(
    source: Source, take: Take, *, silence_s: float | None, broken: Callable[[MesswerkError, float], Awaitable[None]]
) -> None:
    """Like `pump`, but connect again whenever the source ends, vanishes or falls silent.

    `broken` is told the reason and the pause before each new attempt. The pause doubles up to
    `MAX_RETRY_S` and starts afresh once bytes have come.
    """
    pause_s = RETRY_S
    enough = False

    async def watched(piece: bytes) -> bool:
        nonlocal pause_s, enough
        pause_s = RETRY_S
        enough = await take(piece)
        return enough

    while True:
        reason: MesswerkError = PeerLost(f"{source} closed the connection")
        try:
            await pump(source, watched, silence_s=silence_s)
        except (PeerLost, LocalError) as error:
            reason = error
        if enough:
            return
        await broken(reason, pause_s)
        await asyncio.sleep(pause_s)
        pause_s = min(2 * pause_s, MAX_RETRY_S)
