"""Rollouts that are kept, so that an evaluation goes on where it was stopped, and pays only for rows that are new.

A rollout stands for another one when everything that is known to matter is the same: the row, the candidate's templates, the target and its
arguments, the scorers with their settings, and, of prompts that were loaded from the registry, everything about them since. What a target
calls is not known; that is why a cache has a name, which its owner changes.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from types import CodeType
from typing import Any

from prompt_registry_plugin.errors import PromptNotFound
from prompt_registry_plugin.options import RunOptions
from prompt_registry_plugin.protocols import Scorer
from prompt_registry_plugin.records import AliasMove, Candidate, Change, Example, Rollout, digest
from prompt_registry_plugin.registry import PromptRegistry
from prompt_registry_plugin.targets import import_object, reference_to

_DEPTH = 5
_ADDRESS = re.compile(r"\b0x[0-9a-f]+")


class KeptRollouts:
    """The rollouts that are kept under `options.cache` for one target and its scorers."""

    def __init__(
        self, registry: PromptRegistry, options: RunOptions, predict_fn: Any, scorers: Sequence[Scorer], aggregation: Any
    ) -> None:
        target = import_object(predict_fn) if isinstance(predict_fn, str) else predict_fn
        self._registry = registry
        self._what = [options.cache, _seen(target), [_seen(s) for s in scorers], _seen(aggregation), _seen(options.arguments)]
        self._changed: dict[str, datetime | None] = {}

    def find(self, candidate: Candidate, examples: Sequence[Example]) -> dict[str, Rollout]:
        """What is kept of these, by the example's id."""
        keys = {self._key(candidate, example): example.id for example in examples}
        found = self._registry.store.runs.kept(list(keys))
        return {keys[key]: rollout for key, (rollout, at) in found.items() if self._holds(candidate, rollout, at)}

    def keep(self, candidate: Candidate, example: Example, rollout: Rollout, began: datetime) -> None:
        """Keeps a rollout, unless it failed: the next try may not."""
        if rollout.error is None:
            self._registry.store.runs.keep(self._key(candidate, example), rollout, began)

    def _key(self, candidate: Candidate, example: Example) -> str:
        return digest([*self._what, candidate.templates, example.inputs, example.expectations])

    def _holds(self, candidate: Candidate, rollout: Rollout, at: datetime) -> bool:
        """Whether nothing happened since to the prompts that it loaded: a new version, or a moved alias, may be served instead."""
        for name in rollout.prompts.keys() - candidate.templates.keys():
            if name not in self._changed:
                self._changed[name] = _last_change(self._registry, name)
            changed = self._changed[name]
            if changed is None or changed > at:
                return False
        return True


def _last_change(registry: PromptRegistry, name: str) -> datetime | None:
    """When anything about a prompt changed last; None when it is gone."""
    try:
        last = registry.prompt_history(name)[-1]
    except PromptNotFound:
        return None
    return last.moved_at if isinstance(last, AliasMove) else last.changed_at if isinstance(last, Change) else last.created_at


def _seen(obj: Any, depth: int = _DEPTH) -> Any:
    """What tells an object from another one, in whichever process: its settings and its own code."""
    if obj is None or isinstance(obj, str | int | float | bool):
        return obj
    if depth == 0:
        return _text(obj)
    if isinstance(obj, Mapping):
        return {str(key): _seen(value, depth - 1) for key, value in obj.items()}
    if isinstance(obj, list | tuple | set | frozenset):
        return [_seen(value, depth - 1) for value in (sorted(obj, key=repr) if isinstance(obj, set | frozenset) else obj)]
    if isinstance(obj, partial):
        return [_seen(part, depth - 1) for part in (obj.func, obj.args, obj.keywords)]
    if inspect.ismethod(obj):
        return [_seen(obj.__func__, depth - 1), _seen(obj.__self__, depth - 1)]
    if inspect.isfunction(obj):
        cells = [cell.cell_contents for cell in obj.__closure__ or () if cell.cell_contents is not obj]
        return [
            obj.__module__,
            obj.__qualname__,
            _code(obj.__code__),
            _seen([obj.__defaults__, obj.__kwdefaults__, cells], depth - 1),
        ]
    settings = getattr(obj, "__dict__", None)
    if settings and not inspect.isclass(obj) and not inspect.ismodule(obj):
        return [type(obj).__module__, type(obj).__qualname__, _seen(settings, depth - 1)]
    return [_text(obj), reference_to(obj)]


def _code(code: CodeType) -> list[Any]:
    constants = [_code(value) if isinstance(value, CodeType) else _text(value) for value in code.co_consts]
    return [code.co_code.hex(), list(code.co_names), constants]


def _text(obj: Any) -> str:
    return f"{type(obj).__qualname__} {_ADDRESS.sub('', repr(obj))}"
