"""What the registry stores about how an optimization run was started: enough to resume it in another process, and to show it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

from prompt_registry_plugin.errors import InvalidStore
from prompt_registry_plugin.evaluation.options import OnEvent, RunOptions, prices_from_json, prices_to_json
from prompt_registry_plugin.models.servers import without_logins
from prompt_registry_plugin.optimize.engine.budget import Budget
from prompt_registry_plugin.optimize.engine.constraints import Constraints
from prompt_registry_plugin.optimize.engine.splits import FewRows
from prompt_registry_plugin.records import EMPTY, Price

Register = Literal["if_proven", "if_better", "always", "never"]
"""When new versions are registered: if the gain is proven on held-out examples, if their mean is higher, always, or never."""


class ModelReference(NamedTuple):
    """How a resumed optimization run finds its reflection model again."""

    kind: Literal["string", "object"]
    """`string`: the name of a model, such as `openai:<name>`. `object`: where a model or function can be imported from."""
    reference: str
    """That name, or `module:name`, or `module:Class{arguments}`."""


@dataclass(frozen=True, slots=True)
class RunConfig:
    """How one optimization run was started. References are `module:name` or `module:Class{arguments}` (`evaluation.targets`)."""

    predict_fn: str | None = None
    """Reference of the target; None if another process cannot import it."""
    scorers: Sequence[str | None] = ()
    """Name or reference of each scorer; None for one that another process cannot import."""
    aggregation: str | None = None
    """Reference of the function that combines the scores of a rollout; None for their mean, or if it cannot be imported."""
    custom_aggregation: bool = False
    """Whether an aggregation was given, which `aggregation` may not be able to name."""
    prompts: Sequence[str] = ()
    """URIs of the versions that the search starts from."""
    optimizer: str = "commit_queue"
    """Name of the optimizer."""
    custom_optimizer: bool = False
    """Whether the optimizer was given as an object and not by name."""
    optimizer_reference: str | None = None
    """Reference of that object; None without one, or if it cannot be imported."""
    reflection_model: ModelReference | None = None
    """How the reflection model is found again; None if it cannot be imported."""
    reflection_name: str = ""
    """Name of the reflection model, for readers."""
    reflection_simulated: bool = False
    """Whether the reflection model is a simulated one."""
    budget: Budget = field(default_factory=Budget)
    """Limits of the search."""
    constraints: Constraints = field(default_factory=Constraints)
    """Limits of the texts."""
    register: Register = "if_proven"
    """When new versions are registered."""
    seed: int = 0
    """Seed of every random choice."""
    concurrency: int = 16
    """Rollouts at once, at most."""
    attempts: int = 3
    """Attempts of a rollout in all, if its error is transient."""
    timeout: float | None = None
    """Seconds of one attempt of the target, at most; None for a limit from the first rollouts."""
    deterministic: bool = False
    """Whether results arrive in the order of the requests. A resume then replays the search from its beginning."""
    arguments: Mapping[str, Any] = EMPTY
    """Arguments of a target that is a function, in addition to the inputs of an example. JSON data."""
    executor: str = "local"
    """Where rollouts run: `local`, or the name of an executor."""
    prices: Mapping[str, Price] = EMPTY
    """Prices that were given, by name of the model."""
    adapters: Sequence[str] = ()
    """Names of the framework adapters that were enabled."""
    folder: str = ""
    """Working directory of the process; empty if it is not known. References are imported from there."""
    few: FewRows = "apart"
    """Which of a few training examples candidates are compared on; version 0.1.0 kept some apart."""
    holds_out: bool = False
    """Whether the held-out examples were taken from the training rows. If so, rows that the search did not touch can join them."""
    caps_proof: bool = False
    """Whether the held-out test may cost no more than the search; False if the user set `Budget(proof=…)`."""
    imported: bool = False
    """Whether the run came with an export. Its code is called only if the user agrees."""

    def options(self, on_event: OnEvent | None = None) -> RunOptions:
        """Return the options of the optimization run, with another listener."""
        return RunOptions(
            concurrency=self.concurrency,
            seed=self.seed,
            prices=self.prices,
            on_event=on_event,
            attempts=self.attempts,
            timeout=self.timeout,
            deterministic=self.deterministic,
            arguments=self.arguments,
            executor=self.executor,
        )

    def not_importable(self, *, reflects: bool = True) -> str:
        """Return the parts that another process cannot import by name, with what to do; empty if all can be imported.

        Without `reflects`, the optimizer and the reflection model do not count: the search has ended.
        """
        parts = [] if self.predict_fn is not None else ["predict_fn"]
        parts += ["reflection_model"] if reflects and self.reflection_model is None else []
        parts += ["scorers"] if None in self.scorers else []
        parts += ["optimizer"] if reflects and self.custom_optimizer and self.optimizer_reference is None else []
        parts += ["aggregation"] if self.custom_aggregation and self.aggregation is None else []
        if not parts:
            return ""
        return (
            f"{' and '.join(parts)} cannot be imported by name; define them at the top of a module other than the script that is run "
            "(or guard that with `if __name__ == '__main__':`)"
        )

    def references(self) -> list[str]:
        """Return the references of all code that a resume calls."""
        model = self.reflection_model
        named = [self.predict_fn, *self.scorers, self.aggregation, self.optimizer_reference]
        named.append(model.reference if model is not None and model.kind == "object" else None)
        return [reference for reference in named if reference is not None and ":" in reference]

    def to_json(self) -> dict[str, Any]:
        """Return the config as JSON data, with the keys that version 0.1.0 wrote. Logins in the addresses of models are masked."""
        stored: dict[str, Any] = without_logins(self._to_json())
        return stored

    def _to_json(self) -> dict[str, Any]:
        return {
            "predict_fn": self.predict_fn,
            "scorers": list(self.scorers),
            "aggregation": self.aggregation,
            "custom_aggregation": self.custom_aggregation,
            "prompts": list(self.prompts),
            "optimizer": self.optimizer,
            "optimizer_object": [self.optimizer_reference] if self.custom_optimizer else None,
            "reflection_model": None if self.reflection_model is None else list(self.reflection_model),
            "models": {"reflection": self.reflection_name, "reflection_simulated": self.reflection_simulated},
            "budget": {name: value for name, value in asdict(self.budget).items() if value is not None},
            "constraints": {**asdict(self.constraints), "protected": list(self.constraints.protected)},
            "register": self.register,
            "seed": self.seed,
            "concurrency": self.concurrency,
            "attempts": self.attempts,
            "arguments": dict(self.arguments),
            "executor": self.executor,
            "prices": prices_to_json(self.prices),
            "adapters": list(self.adapters),
            "folder": self.folder,
            **({} if self.few == "apart" else {"few": self.few}),
            **({"timeout": self.timeout} if self.timeout is not None else {}),
            **{name: True for name in ("holds_out", "caps_proof", "deterministic", "imported") if getattr(self, name)},
        }

    @classmethod
    def from_json(cls, stored: Mapping[str, Any]) -> RunConfig:
        """Return the config for stored JSON data, of this version or an earlier one.

        A missing key has its default, and an unknown one is ignored. Raises `InvalidStore` for a value that cannot be read.
        """
        try:
            return cls(**_fields(stored))
        except (TypeError, ValueError, KeyError, AttributeError) as error:
            raise InvalidStore(
                f"The stored settings of an optimization run cannot be read: {type(error).__name__}: {error}"
            ) from error


_AS_STORED = ("predict_fn", "aggregation", "custom_aggregation", "optimizer", "register", "seed", "concurrency", "attempts",
              "arguments", "executor", "folder",
              "few", "holds_out", "caps_proof", "imported", "timeout", "deterministic")  # fmt: skip
"""Keys whose value is the field of that name."""


def _fields(stored: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields that JSON data has, by name."""
    found: dict[str, Any] = {key: stored[key] for key in _AS_STORED if key in stored}
    found |= {key: tuple(stored[key]) for key in ("scorers", "prompts", "adapters") if key in stored}
    if stored.get("optimizer_object") is not None:
        found |= {"custom_optimizer": True, "optimizer_reference": stored["optimizer_object"][0]}
    if stored.get("reflection_model") is not None:
        found["reflection_model"] = ModelReference(*stored["reflection_model"])
    if "models" in stored:
        found["reflection_name"] = stored["models"]["reflection"]
        found["reflection_simulated"] = stored["models"]["reflection_simulated"]
    if "budget" in stored:  # a plain number is one of rollouts
        budget = stored["budget"]
        found["budget"] = Budget(**budget) if isinstance(budget, Mapping) else Budget(budget)
    if "constraints" in stored:
        found["constraints"] = Constraints(**stored["constraints"])
    if "prices" in stored:
        found["prices"] = prices_from_json(stored["prices"])
    return found
