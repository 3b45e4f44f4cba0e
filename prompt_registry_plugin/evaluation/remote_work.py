"""What another process has to know to run and score rollouts: the settings of a `Runner`, as JSON text."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.evaluation.options import RunOptions, prices_from_json, prices_to_json
from prompt_registry_plugin.evaluation.targets import reference_to
from prompt_registry_plugin.frameworks import enabling
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.records import Price, TemplateFormat


@dataclass(frozen=True, slots=True)
class RemoteWork:
    """The settings of a `Runner` in another process. References are `module:name` or `module:Class{arguments}`."""

    predict_fn: str
    """Reference of the target."""
    scorers: Sequence[str]
    """Name or reference of each scorer."""
    aggregation: str | None
    """Reference of the function that combines the scores of a rollout; None for their mean."""
    folder: str
    """Working directory of this process. References are imported from there."""
    registry: str
    """URL of the registry."""
    adapters: Sequence[str]
    """Names of the framework adapters to enable."""
    prices: Mapping[str, Price]
    """Prices that were given, by name of the model."""
    attempts: int
    """Attempts of a rollout in all, if its error is transient."""
    arguments: Mapping[str, Any]
    """Arguments of a target that is a function, in addition to the inputs of an example. JSON data."""
    formats: Mapping[str, TemplateFormat]
    """Template format by name of the prompt, for candidates."""
    timeout: float | None = None
    """Seconds of one attempt of the target, at most, where the options set it."""

    @classmethod
    def of(
        cls,
        predict_fn: Any,
        scorers: Sequence[Any],
        aggregation: Any,
        *,
        options: RunOptions,
        formats: Mapping[str, TemplateFormat],
        registry: str,
    ) -> RemoteWork:
        """Return the settings for these parts, to be run from the current folder.

        Raises `UserError` for a part that another process cannot import by name.
        """

        def reference(part: Any, what: str) -> str:
            if (found := reference_to(part)) is None:
                raise UserError(
                    f"{what} cannot be imported by name, as executor {options.executor!r} has to: "
                    "define it at the top of a module, and start it from its folder"
                )
            return found

        return cls(
            predict_fn=reference(predict_fn, "predict_fn"),
            scorers=[reference(scorer, "a scorer") for scorer in scorers],
            aggregation=None if aggregation is None else reference(aggregation, "aggregation"),
            folder=str(Path.cwd()),
            registry=registry,
            adapters=list(enabling.enabled()),
            prices=options.prices,
            attempts=options.attempts,
            arguments=dict(options.arguments),
            formats=dict(formats),
            timeout=options.timeout,
        )

    def options(self) -> RunOptions:
        """Return the options of the runner in the other process, which runs one rollout at a time."""
        return RunOptions(1, prices=self.prices, attempts=self.attempts, arguments=self.arguments, timeout=self.timeout)

    def to_json(self) -> str:
        """Return the settings as canonical JSON text: the same settings are the same text."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return canonical_json({**values, "prices": prices_to_json(self.prices)})

    @classmethod
    def from_json(cls, text: str) -> RemoteWork:
        """Return the settings for such a text."""
        values = json.loads(text)
        return cls(**{**values, "prices": prices_from_json(values["prices"])})
