"""Answers that an agent took from a cache of its own, and that say nothing about the candidate they are given for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from prompt_registry_plugin.records import EMPTY, Rollout


def fail_if_stale(rollout: Rollout, earlier: Sequence[Rollout]) -> Rollout:
    """Return a rollout, as a failure if its answer is one that another candidate got, and nothing of its own was rendered for it.

    A row that is routed elsewhere renders nothing either. So the row has to have reached a prompt with another candidate and
    to give the same answer now without a model call; `earlier` are the rollouts on the same example.
    """
    if rollout.error is not None or not rollout.renders or any(rollout.renders.values()) or rollout.usage.calls:
        return rollout
    for other in earlier:
        if other.candidate_id != rollout.candidate_id and any(other.renders.values()) and other.outputs == rollout.outputs:
            names = ", ".join(map(repr, sorted(rollout.renders)))
            reason = (
                f"{names} never rendered, and the answer is that of candidate {other.candidate_id[:8]} to the same example: it came from "
                "a cache. Turn off the cache of the agent's answers to optimize it."
            )
            return replace(rollout, error=reason, score=0.0, scores=EMPTY)
    return rollout
