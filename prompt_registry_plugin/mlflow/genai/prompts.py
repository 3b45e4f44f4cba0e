"""Registering, loading and finding prompts with MLflow's signatures."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import PromptNotFound, UserError
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.templates.convert import looks_like_jinja, to_double_brace

logger = logging.getLogger(__name__)
_ONE_NAME = re.compile(r"\s*name\s*=\s*'([^']+)'\s*")
_SINGLE = re.compile(r"(?<!\{)\{[A-Za-z_]\w*\}(?!\})")


def register_prompt(
    name: str,
    template: Template,
    commit_message: str | None = None,
    tags: Mapping[str, str] | None = None,
    response_format: Any = None,
    model_config: Any = None,
) -> PromptVersion:
    """The new version; the newest one where its content is the same. A text with `{% … %}` is Jinja."""
    if hasattr(model_config, "to_dict"):
        model_config = model_config.to_dict()
    return current_registry().register_prompt(
        name,
        template,
        commit_message=commit_message,
        tags={str(key): str(value) for key, value in (tags or {}).items()},
        template_format="jinja2" if isinstance(template, str) and looks_like_jinja(template) else "double_brace",
        response_format=response_format,
        model_config=model_config,
    )


def log_prompt(
    prompt: str, artifact_path: str | None = None, registered_model_name: str | None = None, **more: Any
) -> PromptVersion:
    """The new version of `registered_model_name`, or of `artifact_path` where that is all there is.

    Variables are written `{name}`, and literal braces then `{{` and `}}`; a text without any such variable is taken as it is.
    """
    name = registered_model_name or artifact_path
    if not name:
        raise UserError("log_prompt takes registered_model_name, the prompt's name")
    template = to_double_brace(prompt, "f-string") if _SINGLE.search(prompt) else prompt
    return register_prompt(name, template, **more)


def load_prompt(
    name_or_uri: str,
    version: int | str | None = None,
    allow_missing: bool = False,
    link_to_model: bool = True,
    model_id: str | None = None,
    cache_ttl_seconds: float | None = None,
) -> Any:
    """The version that a name or URI points at now: a moved alias counts at once, so `cache_ttl_seconds` has no meaning here."""
    return current_registry().load_prompt(name_or_uri, version, allow_missing=allow_missing)


def search_prompts(
    filter_string: str | None = None, max_results: int | None = None, order_by: Sequence[str] | None = None
) -> list[PromptVersion]:
    """The newest version of each prompt that matches; of a filter that names one prompt (`name = 'x'`), all its versions.

    The language is that of `prompt_registry_plugin.search_prompts`.
    """
    if filter_string is not None and (one := _ONE_NAME.fullmatch(filter_string)):
        try:
            return versions_of(one[1])[:max_results]
        except PromptNotFound:
            return []
    registry = current_registry()
    found: list[PromptVersion] = []
    token: str | None = None
    while max_results is None or len(found) < max_results:
        page = registry.search_prompts(filter_string, order_by=order_by, page_token=token)
        found += [registry.load_source(prompt.name) for prompt in page if prompt.latest_version]
        token = page.token
        if token is None:
            break
    return found[:max_results]


def versions_of(name: str) -> list[PromptVersion]:
    """All versions of a prompt, newest first. Raises `PromptNotFound`."""
    return [entry for entry in reversed(current_registry().prompt_history(name)) if isinstance(entry, PromptVersion)]


def set_prompt_alias(name: str, alias: str, version: int | str) -> None:
    """Points an alias at a version."""
    number = uri.parse(name, version).version
    if number is None:
        raise UserError(f"version of {name!r} is a number, not {version!r}")
    current_registry().set_prompt_alias(name, alias, number)


def delete_prompt_alias(name: str, alias: str) -> None:
    """Removes an alias; one that is not there is no matter, as with MLflow."""
    try:
        current_registry().delete_prompt_alias(name, alias)
    except PromptNotFound as error:
        logger.info("no alias was deleted: %s", error)


def get_prompt_tags(name: str) -> dict[str, str]:
    """The tags of a prompt as a whole. Raises `PromptNotFound`."""
    registry = current_registry()
    registry.load_source(name)
    [prompt] = registry.search_prompts(f"name = '{name}' AND (archived = 'true' OR archived = 'false')")
    return dict(prompt.tags)


def set_prompt_tag(name: str, key: str, value: str) -> None:
    """Sets a tag of a prompt as a whole."""
    current_registry().set_prompt_tag(name, key, str(value))


def delete_prompt_tag(name: str, key: str) -> None:
    """Removes a tag of a prompt."""
    current_registry().delete_prompt_tag(name, key)


def set_prompt_version_tag(name: str, version: int | str, key: str, value: str) -> None:
    """Sets a tag of one version; it never changes the template."""
    current_registry().set_prompt_version_tag(name, int(version), key, str(value))


def delete_prompt_version_tag(name: str, version: int | str, key: str) -> None:
    """Removes a tag of one version."""
    current_registry().delete_prompt_version_tag(name, int(version), key)
