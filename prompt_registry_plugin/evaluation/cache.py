"""Rollouts that are kept, so that an evaluation goes on where it was stopped, and pays only for rows that are new.

A rollout stands for another one when everything that is known to matter is the same: the row, the candidate's templates, the target and its
arguments, the scorers with their settings, the files of all modules of the user's that were loaded, and everything about the prompts
that were. What cannot be told from another object of its kind is never taken for one. What a model or a service answers is not known;
that is why a cache has a name, which its owner changes.
"""

from __future__ import annotations

import hashlib
import inspect
import json
import logging
import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from types import CodeType
from typing import Any

from prompt_registry_plugin.errors import PromptNotFound
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.targets import import_object, is_users, reference_to
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.moved import with_old_names
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import Scorer
from prompt_registry_plugin.records import AliasMove, Candidate, Change, Example, Rollout, digest, utc_now
from prompt_registry_plugin.registry.registry import PromptRegistry

logger = logging.getLogger(__name__)
_ADDRESS = re.compile(r"\b0x[0-9a-f]+")
_KEPT_FOR = timedelta(days=30)


class KeptRollouts:
    """The rollouts that are kept under `options.cache` for one target and its scorers."""

    def __init__(
        self, registry: PromptRegistry, options: RunOptions, predict_fn: Any, scorers: Sequence[Scorer], aggregation: Any
    ) -> None:
        seen = _Seen()
        target = import_object(predict_fn) if isinstance(predict_fn, str) else predict_fn
        prices = {name: [price.input, price.output] for name, price in options.prices.items()}
        self._registry = registry
        self._what = [options.cache, seen.root(target), [seen.root(s) for s in scorers], seen.root(aggregation), dict(options.arguments),
                      prices, enabling.enabled(), sorted(registry.store.prompts.bindings())]  # fmt: skip
        self._is_known = not seen.unknown
        if seen.unknown:
            logger.warning("nothing is kept under %r: %s cannot be told from another one like it", options.cache, seen.unknown[0])
        self._changed: dict[str, datetime | None] = {}
        self._files = _Files()
        registry.store.runs.forget_kept(utc_now() - _KEPT_FOR)

    def find(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout | None]:
        """What is kept of these, in their order."""
        keys = [self._key(candidate, example) for example in examples]
        found = self._registry.store.runs.kept(list(dict.fromkeys(keys))) if self._is_known else {}
        held = {
            key: rollout
            for key, (rollout, at, files) in found.items()
            if self._files.are(files) and self._holds(candidate, rollout, at)
        }
        return [
            replace(held[key], example_id=example.id, candidate_id=candidate.id) if key in held else None
            for key, example in zip(keys, examples, strict=True)
        ]

    def keep(self, candidate: Candidate, example: Example, rollout: Rollout, began: datetime) -> None:
        """Keeps a rollout, unless it failed (the next try may not), or its answer would not come back as it is."""
        if self._is_known and rollout.error is None and _comes_back(rollout.outputs):
            self._registry.store.runs.keep(self._key(candidate, example), rollout, began, self._files.loaded())

    def _key(self, candidate: Candidate, example: Example) -> str:
        return digest([*self._what, candidate.templates, example.inputs, example.expectations])

    def _holds(self, candidate: Candidate, rollout: Rollout, at: datetime) -> bool:
        """Whether nothing happened since to the prompts that it loaded: a new version, or a moved alias, may be served instead.

        Version 0 is one that was looked for and was not there. Of a prompt whose text is the candidate's, the settings count.
        """
        for name, version in rollout.prompts.items():
            if name not in self._changed:
                self._changed[name] = _last_change(self._registry, name)
            changed = self._changed[name]
            if changed is None and version:
                return False
            if changed is not None and changed > at and not (name in candidate.templates and self._same_settings(name, version)):
                return False
        return True

    def _same_settings(self, name: str, version: int) -> bool:
        versions = self._registry.store.prompts.versions(name)
        settings = [_settings(v) for v in versions]
        return any(v.version == version for v in versions) and all(each == settings[0] for each in settings)


class _Files:
    """The files of the user's modules: a change in any that was loaded may have changed what an agent does. Each is read once."""

    def __init__(self) -> None:
        self._hashes: dict[str, str] = {}
        self._loaded: dict[str, str] = {}
        self._modules = 0

    def loaded(self) -> dict[str, str]:
        """Those of the modules that are loaded by now, with their hashes."""
        if self._modules != len(sys.modules):  # asked after every rollout
            modules = list(sys.modules.values())
            self._modules = len(modules)
            self._loaded = {str(m.__file__): self._hash(str(m.__file__)) for m in modules if is_users(m)}
        return self._loaded

    def are(self, files: Mapping[str, str]) -> bool:
        """Whether files are as they were."""
        return all(self._hash(file) == before for file, before in files.items())

    def _hash(self, file: str) -> str:
        if file not in self._hashes:
            try:
                self._hashes[file] = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
            except OSError:
                self._hashes[file] = "gone"
        return self._hashes[file]


def _settings(version: PromptVersion) -> list[Any]:
    return [version.model_config, version.response_format, version.tools, version.variable_schemas, version.template_format]


def _last_change(registry: PromptRegistry, name: str) -> datetime | None:
    """When anything about a prompt changed last; None when it is not there."""
    try:
        history = registry.summarize_history(name)
    except PromptNotFound:
        return None
    last = history[-1]
    return last.moved_at if isinstance(last, AliasMove) else last.changed_at if isinstance(last, Change) else last.created_at


def _comes_back(outputs: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(outputs)) == outputs)
    except (TypeError, ValueError, RecursionError):
        return False


class _Seen:
    """What tells an object from another one, in whichever process: where it can be imported from, its code and its settings."""

    def __init__(self) -> None:
        self.unknown: list[str] = []
        self._known: dict[int, Any] = {}
        self._alive: list[Any] = []  # an id belongs to an object as long as that lives

    def root(self, obj: Any) -> Any:
        """Of a target or a scorer: its name, whose meaning is in its file, and what no file says."""
        named = None if obj is None else reference_to(obj)
        reference = None if named is None else with_old_names(named)  # a key that was stored before a module moved has to stay
        if reference is None or "{" in reference or inspect.isroutine(obj) or _is_users_own(type(obj)):
            return [reference, self.of(obj) if reference is None or "{" not in reference else None]
        return [reference, None]

    def of(self, obj: Any) -> Any:
        """Of anything that it holds."""
        if obj is None or isinstance(obj, str | int | float | bool | bytes | type(Ellipsis)):
            return repr(obj)
        if id(obj) not in self._known:
            self._known[id(obj)] = "above"
            self._alive.append(obj)
            self._known[id(obj)] = digest(self._inside(obj))
        return self._known[id(obj)]

    def _inside(self, obj: Any) -> Any:
        if isinstance(obj, CodeType):
            return [obj.co_code.hex(), list(obj.co_names), [self.of(constant) for constant in obj.co_consts]]
        if isinstance(obj, Mapping):
            return [[self.of(key), self.of(value)] for key, value in obj.items()]
        if isinstance(obj, list | tuple):
            return [self.of(value) for value in obj]
        if isinstance(obj, set | frozenset):
            return sorted((self.of(value) for value in obj), key=repr)
        if isinstance(obj, partial):
            return [self.of(part) for part in (obj.func, obj.args, obj.keywords)]
        if inspect.ismethod(obj):
            return [self.of(obj.__func__), self.of(obj.__self__)]
        if inspect.isfunction(obj):
            cells = [cell.cell_contents for cell in obj.__closure__ or () if cell.cell_contents is not obj]
            held = [obj.__defaults__, obj.__kwdefaults__, cells, self._globals(obj)]
            return [obj.__module__, obj.__qualname__, self.of(obj.__code__), self.of(held)]
        if inspect.isclass(obj):
            code = {} if _has_file(obj) else {name: part for name, part in vars(obj).items() if inspect.isfunction(part)}
            return [obj.__module__, obj.__qualname__, self.of(code)]
        if inspect.ismodule(obj) or inspect.isbuiltin(obj):
            return [getattr(obj, "__module__", ""), obj.__name__]
        if hasattr(obj, "tobytes"):
            return [type(obj).__qualname__, hashlib.sha256(obj.tobytes()).hexdigest(), str(getattr(obj, "shape", ""))]
        held_by_name = {**getattr(obj, "__dict__", {}), **_slots(obj)}
        if held_by_name or _is_users_own(type(obj)):
            return [self.of(type(obj)), self.of(held_by_name)]
        said = repr(obj)
        if _ADDRESS.search(said) or len(said) > 10_000:
            self.unknown.append(f"{type(obj).__module__}.{type(obj).__qualname__}")
        return [type(obj).__qualname__, said]

    def _globals(self, function: Any) -> dict[str, Any]:
        """Plain values that a function reads from its module, which may come from the environment; in a notebook, all that it names."""
        named = {name: function.__globals__[name] for name in function.__code__.co_names if name in function.__globals__}
        if _has_file(function):
            return {name: value for name, value in named.items() if isinstance(value, str | int | float | bool | type(None))}
        return {name: value for name, value in named.items() if not inspect.ismodule(value)}


def _has_file(obj: Any) -> bool:
    """Whether the code of a function or class stands in a file, whose hash tells when it changes."""
    return bool(getattr(sys.modules.get(obj.__module__), "__file__", None))


def _is_users_own(kind: type) -> bool:
    module = sys.modules.get(kind.__module__)
    return module is not None and (is_users(module) or kind.__module__ == "__main__")


def _slots(obj: Any) -> dict[str, Any]:
    names = [name for kind in type(obj).__mro__ for name in _listed(getattr(kind, "__slots__", ()))]
    return {name: getattr(obj, name) for name in names if name not in ("__dict__", "__weakref__") and hasattr(obj, name)}


def _listed(slots: Any) -> Sequence[str]:
    return [slots] if isinstance(slots, str) else list(slots)
