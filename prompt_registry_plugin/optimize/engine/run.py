"""Carrying an optimization run out: search, held-out test, registration. Whatever ends it early leaves it resumable.

Everything that costs money is stored when it ends: rollouts, answers of the reflection model, decisions about candidates. A resumed one
rebuilds its search from these rows, continues the held-out test where it was stopped, and registers each prompt once.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from prompt_registry_plugin.evaluation.options import Event
from prompt_registry_plugin.evaluation.progress import default_progress
from prompt_registry_plugin.interrupts import StopSignals, say
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.optimize.engine.heartbeat import beat
from prompt_registry_plugin.optimize.engine.job import Job
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.optimize.engine.proof import open_ledger, proof_examples, prove
from prompt_registry_plugin.optimize.engine.registration import finish
from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult
from prompt_registry_plugin.optimize.engine.search import Search
from prompt_registry_plugin.optimize.engine.state import resume_advice
from prompt_registry_plugin.tracing.trace import error_text


async def carry_out(job: Job) -> PromptOptimizationResult:
    """Search, test the winner on held-out examples, register it, and return the result.

    If it is cancelled or fails, the optimization run is stored as `interrupted` or `failed`, and can be resumed.
    """
    if job.record.status != "finished":
        job.runs.update(job.id, "running")
    meter = Meter(job.config.budget, seconds=job.record.seconds)
    heartbeat = asyncio.create_task(beat(job.runs, job.id, meter))
    ledgers: list[Ledger] = []
    signals = StopSignals(lambda: _describe_wait(ledgers, job))
    with signals, default_progress(job.on_event) as on_event:
        try:
            search = Search(job, meter, on_event)
            ledgers.append(search.ledger)
            winner = await search.run()
            held_out = None
            if job.held_out and winner.id != job.baseline.id:
                examples = proof_examples(job, search.ledger)
                ledgers.append(open_ledger(job, len(examples), on_event))
                held_out = await prove(job, ledgers[-1], winner, examples, on_event)
            await _drain(ledgers)  # failures that are still held back are stored before it counts as finished
            if job.record.status != "finished":
                job.runs.touch(job.id, meter.seconds)
            return finish(job, search.problem, winner, held_out, ledgers)
        except (asyncio.CancelledError, KeyboardInterrupt):
            try:
                await _drain(ledgers)
            finally:  # also if a second signal ends the waiting
                job.runs.touch(job.id, meter.seconds)
                job.runs.update(job.id, "interrupted")
                advice = f"stopped. {resume_advice(job.id, job.config, job.registry)}"
                on_event(Event("stopped", "optimize", text=advice))
                if signals.is_stopping and job.on_event is not None:  # the listener may show nothing
                    say(advice)
            raise
        except Exception as error:
            await _drain(ledgers)
            job.runs.touch(job.id, meter.seconds)
            job.runs.update(job.id, "failed", error=mask_secrets(error_text(error)))
            raise
        finally:
            heartbeat.cancel()


def _describe_wait(ledgers: Sequence[Ledger], job: Job) -> str:
    """Return what a stop waits for, as a sentence."""
    under_way = [seconds for ledger in ledgers for seconds in ledger.under_way()]
    if not under_way:
        return "nothing is under way."
    calls = "1 rollout that is" if len(under_way) == 1 else f"{len(under_way)} rollouts that are"
    longest = f"the longest for {max(under_way):.0f} s now, and for {job.runner.timeout:.0f} s at most"
    return f"waiting for {calls} under way and paid for, {longest}."


async def _drain(ledgers: Sequence[Ledger]) -> None:
    for ledger in ledgers:
        await ledger.drain()
