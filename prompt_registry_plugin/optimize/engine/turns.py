"""The order of results in a deterministic optimization run: calls run at once, and their results arrive in the order of the requests.

What a search does next depends on which result arrives first, and that depends on time. Here, a call that has ended waits for those that
were asked for before it, and the next result arrives when the search has done all that the last one led to. So the same seed gives the
same search, as long as the calls give the same results.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager

# Steps of the event loop in which a search reacts to a result: tasks that wait for tasks, a handful deep.
_STEPS = 64


class Turns:
    """The turns of the calls of one optimization run. It belongs to one event loop."""

    def __init__(self) -> None:
        self._waiting: deque[asyncio.Future[None]] = deque()  # the first one's turn has come, if it is done
        self._settling: asyncio.Task[None] | None = None

    @contextmanager
    def turn(self) -> Iterator[asyncio.Future[None]]:
        """Take the next turn; await the future before the result is used. The turn ends with the block, however it ends."""
        mine = asyncio.get_running_loop().create_future()
        self._waiting.append(mine)
        if len(self._waiting) == 1:
            self._settle()
        try:
            yield mine
        finally:
            was_first = self._waiting[0] is mine
            self._waiting.remove(mine)
            if was_first:
                self._settle()

    def _settle(self) -> None:
        """Call the next one when the search has done all that it can do now."""
        if self._settling is None:
            self._settling = asyncio.ensure_future(self._call_next())

    async def _call_next(self) -> None:
        for _ in range(_STEPS):
            await asyncio.sleep(0)
        self._settling = None
        if self._waiting and not self._waiting[0].done():
            self._waiting[0].set_result(None)
