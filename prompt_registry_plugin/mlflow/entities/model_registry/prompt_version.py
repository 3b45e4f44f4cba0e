"""A version of a prompt with MLflow's constructor, attributes and exceptions. It is a `prompt_registry_plugin.PromptVersion` too."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from prompt_registry_plugin.errors import MissingVariable, PromptRegistryError
from prompt_registry_plugin.frozen import values_of
from prompt_registry_plugin.mlflow.exceptions import as_mlflow_exception
from prompt_registry_plugin.prompts.version import PromptVersion as OurVersion
from prompt_registry_plugin.records import EMPTY, Template, TemplateFormat, utc_now
from prompt_registry_plugin.templates.convert import looks_like_jinja

logger = logging.getLogger(__name__)
RESERVED = "_mlflow"
MODEL_CONFIG_TAG = "_mlflow_prompt_model_config"
"""The tag of a version that holds what `set_prompt_model_config` set: a version's own settings cannot change."""

_ATTRIBUTES = (
    "name", "version", "template", "commit_message", "creation_timestamp", "tags", "aliases",
    "last_updated_timestamp", "user_id", "response_format", "model_config", "uri", "variables", "is_text_prompt",
)  # fmt: skip


class PromptVersion(OurVersion):
    """What `load_prompt` and `register_prompt` give here. Text values that are passed to `format` are never read as templates."""

    def __init__(
        self,
        name: str,
        version: int,
        template: Template,
        commit_message: str | None = None,
        creation_timestamp: int | None = None,
        tags: Mapping[str, str] | None = None,
        aliases: Sequence[str] | None = None,
        last_updated_timestamp: int | None = None,
        user_id: str | None = None,
        response_format: Any = None,
        model_config: Any = None,
        **ours: Any,
    ) -> None:
        made_at = None if creation_timestamp is None else datetime.fromtimestamp(creation_timestamp / 1000, UTC)
        super().__init__(
            name,
            int(version),
            template,
            ours.pop("template_format", None) or format_of(template),
            commit_message,
            tags or EMPTY,
            tuple(aliases or ()),
            self.convert_response_format_to_dict(response_format),
            model_config.to_dict() if hasattr(model_config, "to_dict") else model_config,
            created_at=ours.pop("created_at", None) or made_at or utc_now(),
            created_by=ours.pop("created_by", None) or user_id or "",
            **ours,
        )
        object.__setattr__(self, "aliases", list(self.aliases))  # programs compare it with a list

    @classmethod
    def of(cls, version: OurVersion) -> PromptVersion:
        """The same version, with what `set_prompt_model_config` set."""
        if isinstance(version, cls):
            return version
        given = {field.name: getattr(version, field.name) for field in fields(version)}
        if (config := version.tags.get(MODEL_CONFIG_TAG)) is not None:
            given["model_config"] = json.loads(config)
        given["tags"] = {key: value for key, value in version.tags.items() if not key.startswith(RESERVED)}
        return cls(**given)

    @property
    def description(self) -> str | None:
        """The commit message."""
        return self.commit_message

    @property
    def creation_timestamp(self) -> int:
        """When it was registered, in milliseconds since 1970."""
        return int(self.created_at.timestamp() * 1000)

    @property
    def last_updated_timestamp(self) -> int:
        """The same: a version does not change."""
        return self.creation_timestamp

    @property
    def user_id(self) -> str | None:
        """Who registered it."""
        return self.created_by or None

    def format(
        self,
        values: Mapping[str, Any] | None = None,
        /,
        *,
        allow_partial: bool = False,
        use_jinja_sandbox: bool = True,
        **variables: Any,
    ) -> Any:
        """The rendered text or messages; with `allow_partial`, a version with the given values filled in.

        Raises `MlflowException` for missing variables. Templates stay in the sandbox: they are data, which others may write.
        """
        if not use_jinja_sandbox:
            logger.warning("use_jinja_sandbox=False has no effect: templates are always rendered in the sandbox (%s)", self.uri)
        try:
            return super().format(values, allow_partial=allow_partial, **variables)
        except MissingVariable as error:
            absent = sorted(self.variables - {**self.filled, **(values or {}), **variables}.keys())
            hint = "To partially format the prompt, set `allow_partial=True`."
            said = f"Missing variables: {{{', '.join(map(repr, absent))}}}. {hint} {error}" if absent else None
            raise as_mlflow_exception(error, said) from None
        except PromptRegistryError as error:
            raise as_mlflow_exception(error) from None

    @staticmethod
    def convert_response_format_to_dict(response_format: Any) -> Any:
        """A pydantic model as its JSON Schema; a mapping as it is."""
        is_model = isinstance(response_format, type) and hasattr(response_format, "model_json_schema")
        return response_format.model_json_schema() if is_model else response_format

    def __iter__(self) -> Iterator[tuple[str, Any]]:
        """So that `dict(version)` works."""
        return iter([(name, getattr(self, name)) for name in _ATTRIBUTES])

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, OurVersion):
            return NotImplemented
        mine, others = PromptVersion.of(self), PromptVersion.of(other)
        return all(getattr(mine, field.name) == getattr(others, field.name) for field in fields(self))

    def __hash__(self) -> int:
        return hash((self.uri, self.content_hash))


def format_of(template: Template) -> TemplateFormat:
    """`jinja2` for a text, or messages, with `{% … %}`, as MLflow decides it."""
    texts = list(values_of(str, template))
    return "jinja2" if any(looks_like_jinja(text) for text in texts) else "double_brace"
