"""A rollout somewhere else: what has to be known there, as JSON text, and what is done with it."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from functools import lru_cache
from typing import Any

from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.runner import Runner
from prompt_registry_plugin.evaluation.targets import import_object
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.records import Candidate, Example, Price
from prompt_registry_plugin.registry.current import use_registry
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.rollout_json import body_of


def perform(work: str, candidate: str, example: str) -> str:
    """Runs and scores one candidate on one example, as `work` says, and returns the rollout as JSON text."""
    registry, runner = _set_up(work)
    with use_registry(registry):
        rollout = asyncio.run(runner.run(Candidate(**json.loads(candidate)), Example(**json.loads(example)), local=True))
    return body_of(rollout)


@lru_cache(maxsize=4)
def _set_up(work: str) -> tuple[PromptRegistry, Runner]:
    said: dict[str, Any] = json.loads(work)
    os.chdir(said["folder"])
    if said["folder"] not in sys.path:
        sys.path.insert(0, said["folder"])
    if said["adapters"]:
        enabling.enable(*said["adapters"])
    registry = PromptRegistry(said["registry"])
    prices = {name: Price(*pair) for name, pair in said["prices"].items()}
    runner = Runner(
        said["predict_fn"],
        [import_object(scorer) if ":" in scorer else scorer for scorer in said["scorers"]],
        plugins=registry.plugins,
        options=RunOptions(1, prices=prices, attempts=said["attempts"], arguments=said["arguments"]),
        aggregation=import_object(said["aggregation"]) if said["aggregation"] else None,
        formats=said["formats"],
    )
    return registry, runner
