"""A rollout as JSON text: what a database keeps of it, and what crosses the border to another process."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import asdict
from typing import Any

from prompt_registry_plugin.masking import clean
from prompt_registry_plugin.records import (
    Item,
    Rollout,
    Score,
    Usage,
)


def body_of(rollout: Rollout) -> str:
    """A rollout as JSON; an agent may answer with anything, so what JSON cannot hold becomes its text."""
    fields = {field.name: getattr(rollout, field.name) for field in dataclasses.fields(rollout)}
    fields["scores"] = {name: asdict(score) for name, score in rollout.scores.items()}
    fields["usage"], fields["judging"] = asdict(rollout.usage), asdict(rollout.judging)
    fields |= {name: None if fields[name] is None else clean(fields[name]) for name in ("error", "unscored")}
    try:
        return json.dumps(fields, default=repr)
    except (TypeError, ValueError, RecursionError):
        return json.dumps({**fields, "outputs": repr(rollout.outputs)}, default=repr)


def rollout_of(body: dict[str, Any]) -> Rollout:
    """The rollout that such JSON stands for."""
    scores = {
        name: Score(**{**score, "items": tuple(Item(**item) for item in score["items"])})
        for name, score in body["scores"].items()
    }
    judging = Usage(**body.get("judging", {}))
    return Rollout(**{**body, "scores": scores, "usage": Usage(**body["usage"]), "judging": judging})
