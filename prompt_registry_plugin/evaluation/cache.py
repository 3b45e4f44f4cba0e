"""A cache of rollouts, so that a stopped evaluation can continue, and a repeated one pays only for new examples.

A cached rollout is used when everything that is known to matter is unchanged: the example, the candidate's templates, the target and its
arguments, the scorers with their settings, the user's files that were loaded, and everything about the prompts that were. An object that
nothing distinguishes from others of its type is never taken for the same (`fingerprint`). What a model or a service answers is not
known; that is why a cache has a name, which you change.
"""

from __future__ import annotations

import hashlib
import json
import logging
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import PromptNotFound
from prompt_registry_plugin.evaluation.fingerprint import Fingerprint
from prompt_registry_plugin.evaluation.options import RunOptions
from prompt_registry_plugin.evaluation.targets import import_object, is_users
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.protocols import Scorer
from prompt_registry_plugin.records import AliasMove, Candidate, Change, Example, Rollout, digest, utc_now
from prompt_registry_plugin.registry.registry import PromptRegistry

logger = logging.getLogger(__name__)

# A model behind a name changes without notice, so an old answer is not evidence about today's. A month is a choice.
_LIFETIME = timedelta(days=30)


class RolloutCache:
    """The rollouts cached under the name `options.cache` for one target and its scorers.

    With an object that has no fingerprint it finds and stores nothing, and logs a warning.
    """

    def __init__(
        self, registry: PromptRegistry, options: RunOptions, predict_fn: Any, scorers: Sequence[Scorer], aggregation: Any
    ) -> None:
        fingerprint = Fingerprint()
        target = import_object(predict_fn) if isinstance(predict_fn, str) else predict_fn
        prices = {name: [price.input, price.output] for name, price in options.prices.items()}
        self._registry = registry
        adopted = [[b.text_hash, b.place, b.role, b.name, b.alias] for b in registry.loader.adopted_texts().bindings]
        self._setup = [options.cache, fingerprint.of_root(target), [fingerprint.of_root(scorer) for scorer in scorers],
                       fingerprint.of_root(aggregation), dict(options.arguments), prices, enabling.enabled(),
                       sorted(registry.store.prompts.bindings()), *([adopted] if adopted else [])]  # fmt: skip
        self._is_usable = not fingerprint.unknown
        if fingerprint.unknown:
            unknown = fingerprint.unknown[0]
            logger.warning("nothing is kept under %r: %s cannot be told from another one like it", options.cache, unknown)
        self._last_changes: dict[str, datetime | None] = {}  # by prompt name
        self._files = _UserFiles()
        registry.store.runs.forget_kept(utc_now() - _LIFETIME)

    def find(self, candidate: Candidate, examples: Sequence[Example]) -> list[Rollout | None]:
        """Return the cached rollouts, in the order of the examples; None where none may be used."""
        keys = [self._key(candidate, example) for example in examples]
        stored = self._registry.store.runs.kept(list(dict.fromkeys(keys))) if self._is_usable else {}
        valid = {
            key: rollout
            for key, (rollout, began, files) in stored.items()
            if self._files.are_unchanged(files) and self._prompts_are_unchanged(candidate, rollout, began)
        }
        return [
            replace(valid[key], example_id=example.id, candidate_id=candidate.id) if key in valid else None
            for key, example in zip(keys, examples, strict=True)
        ]

    def add(self, candidate: Candidate, example: Example, rollout: Rollout, began: datetime) -> None:
        """Cache a rollout that began at this time, unless it failed, or its answer cannot be stored as JSON without a change.

        A failure is not cached, since the next attempt may succeed; nor is an answer without a score, since the judge may give one.
        """
        is_whole = rollout.error is None and rollout.unscored is None
        if self._is_usable and is_whole and _survives_json(rollout.outputs):
            self._registry.store.runs.keep(self._key(candidate, example), rollout, began, self._files.hashes())

    def _key(self, candidate: Candidate, example: Example) -> str:
        return digest([*self._setup, candidate.templates, example.inputs, example.expectations])

    def _prompts_are_unchanged(self, candidate: Candidate, rollout: Rollout, began: datetime) -> bool:
        """Whether the prompts that a rollout loaded would be served alike today.

        A key cannot say that: which prompts are loaded is only known after the run. Any change of a prompt counts, since a new version or
        a moved alias may be served instead. A prompt that the candidate replaces is an exception, as long as its settings are the same.
        Version 0 means that the prompt was looked for and did not exist.
        """
        for name, version in rollout.prompts.items():
            if name not in self._last_changes:
                self._last_changes[name] = _last_change_of(self._registry, name)
            changed = self._last_changes[name]
            if changed is None and version:
                return False
            # The time of the beginning, not of the end: a change in between may have been loaded or not.
            is_replaced = name in candidate.templates
            if changed is not None and changed > began and not (is_replaced and self._has_same_settings(name, version)):
                return False
        return True

    def _has_same_settings(self, name: str, version: int) -> bool:
        versions = self._registry.store.prompts.versions(name)
        settings = [_settings_of(v) for v in versions]
        return any(v.version == version for v in versions) and all(each == settings[0] for each in settings)


class _UserFiles:
    """The files of the user's modules: a change in any that was loaded may change what an agent does.

    Each is read once, so that an evaluation that lasts an hour stores the code that it started with.
    """

    def __init__(self) -> None:
        self._hash_by_file: dict[str, str] = {}
        self._hashes: dict[str, str] = {}
        self._modules = 0

    def hashes(self) -> dict[str, str]:
        """Return the files of the user's modules that are loaded now, with their hashes."""
        if self._modules != len(sys.modules):  # asked after every rollout, and nearly always unchanged
            modules = list(sys.modules.values())
            self._modules = len(modules)
            self._hashes = {str(m.__file__): self._hash(str(m.__file__)) for m in modules if is_users(m)}
        return self._hashes

    def are_unchanged(self, files: Mapping[str, str]) -> bool:
        """Whether files have the hashes that were stored for them."""
        return all(self._hash(file) == before for file, before in files.items())

    def _hash(self, file: str) -> str:
        if file not in self._hash_by_file:
            try:
                self._hash_by_file[file] = hashlib.sha256(Path(file).read_bytes()).hexdigest()[:16]
            except OSError:
                self._hash_by_file[file] = "gone"
        return self._hash_by_file[file]


def _settings_of(version: PromptVersion) -> list[Any]:
    return [version.model_config, version.response_format, version.tools, version.variable_schemas, version.template_format]


def _last_change_of(registry: PromptRegistry, name: str) -> datetime | None:
    """Return when anything about a prompt changed last; None when it does not exist."""
    try:
        history = registry.summarize_history(name)
    except PromptNotFound:
        return None
    last = history[-1]
    return last.moved_at if isinstance(last, AliasMove) else last.changed_at if isinstance(last, Change) else last.created_at


def _survives_json(outputs: Any) -> bool:
    try:
        return bool(json.loads(json.dumps(outputs)) == outputs)
    except (TypeError, ValueError, RecursionError):
        return False
