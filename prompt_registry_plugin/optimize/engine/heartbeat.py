"""Which process works on an optimization run, so that no two do: both would pay for the same rollouts."""

from __future__ import annotations

import asyncio
import socket

from prompt_registry_plugin.concurrency import is_alive, this_process
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.protocols import RunRecord, RunTable
from prompt_registry_plugin.records import utc_now

_INTERVAL = 10.0  # seconds between two heartbeats: one small write each
_MISSED = 3  # heartbeats in a row until a process counts as gone; a busy event loop or database may delay one
_BEATS_IN_BUDGET = 50  # a budget in seconds is resumed from the last heartbeat, so one is lost by at most 2 %
_SHORTEST_INTERVAL = 0.2  # seconds


async def beat(runs: RunTable, run_id: str, meter: Meter) -> None:
    """Store regularly that this process works on an optimization run, and its seconds of work in all. Ends when cancelled."""
    limit = meter.budget.seconds
    interval = _INTERVAL if limit is None else min(_INTERVAL, max(_SHORTEST_INTERVAL, limit / _BEATS_IN_BUDGET))
    while True:
        await asyncio.sleep(interval)
        runs.touch(run_id, meter.seconds)


def is_running_elsewhere(run: RunRecord) -> bool:
    """Return whether another process works on an optimization run: its last heartbeat is recent and, if it is local, it exists."""
    host, _, pid = run.owner.rpartition(":")
    if (utc_now() - run.updated_at).total_seconds() > _MISSED * _INTERVAL or run.owner == this_process():
        return False
    if host != socket.gethostname():
        return True
    return pid.isdecimal() and is_alive(int(pid))
