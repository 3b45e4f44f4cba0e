"""A rollout in another process, from JSON text to JSON text: what an executor calls wherever it runs."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from functools import lru_cache

from prompt_registry_plugin.evaluation.remote_work import RemoteWork
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.evaluation.targets import import_object
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.records import Candidate, Example
from prompt_registry_plugin.registry.current import use_registry
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.rollout_json import body_of


def perform(work: str, candidate: str, example: str) -> str:
    """Run and score one candidate on one example, and return the rollout as JSON text. All arguments are JSON text (`RemoteWork`)."""
    registry, runner = _open_runner(work)
    with use_registry(registry):
        rollout = asyncio.run(runner.run(Candidate(**json.loads(candidate)), Example(**json.loads(example)), local=True))
    return body_of(rollout)


@lru_cache(maxsize=4)  # one worker process is sent many rollouts of few kinds of work
def _open_runner(text: str) -> tuple[PromptRegistry, Runner]:
    """Go to the folder of the work, enable its adapters, and return its registry and a runner."""
    work = RemoteWork.from_json(text)
    os.chdir(work.folder)
    if work.folder not in sys.path:
        sys.path.insert(0, work.folder)
    if work.adapters:
        enabling.enable(*work.adapters)
    registry = PromptRegistry(work.registry)
    runner = Runner(
        work.predict_fn,
        work.scorers,
        plugins=registry.plugins,
        options=work.options(),
        aggregation=import_object(work.aggregation) if work.aggregation else None,
        formats=work.formats,
    )
    return registry, runner
