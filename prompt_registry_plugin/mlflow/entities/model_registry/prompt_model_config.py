"""Model settings with MLflow's names and checks. Needs pydantic."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StrictStr


class PromptModelConfig(BaseModel):
    """The model that a prompt is written for and its settings. Raises pydantic's `ValidationError` for values that no model takes."""

    model_config = ConfigDict(protected_namespaces=(), extra="forbid")

    provider: str | None = None
    model_name: str | None = None
    temperature: Annotated[float, Field(ge=0)] | None = None
    max_tokens: Annotated[int, Field(gt=0)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(gt=0)] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    stop_sequences: list[StrictStr] | None = None
    extra_params: dict[str, Any] = Field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """What is set, with `extra_params` among it."""
        known = self.model_dump(exclude_none=True, exclude={"extra_params"})
        return {**known, **self.extra_params}

    @classmethod
    def from_dict(cls, config: Mapping[str, Any]) -> PromptModelConfig:
        """The settings in a mapping; those without a field of their own are `extra_params`."""
        known = {key: value for key, value in config.items() if key in cls.model_fields and key != "extra_params"}
        extra = {key: value for key, value in config.items() if key not in cls.model_fields}
        return cls(**known, extra_params={**extra, **(config.get("extra_params") or {})})


def model_config_of(value: Any) -> dict[str, Any] | None:
    """A mapping or a `PromptModelConfig` as a dictionary. Raises pydantic's `ValidationError` for a value out of its range."""
    if value is None:
        return None
    return value.to_dict() if hasattr(value, "to_dict") else PromptModelConfig.from_dict(value).to_dict()
