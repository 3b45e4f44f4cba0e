"""Registering, loading and finding prompts with MLflow's signatures."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Mapping, Sequence
from typing import Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import InvalidTemplate, PromptNotFound, UserError, needs_extra
from prompt_registry_plugin.mlflow import linking
from prompt_registry_plugin.mlflow.entities.model_registry.prompt_version import MODEL_CONFIG_TAG, PromptVersion, format_of
from prompt_registry_plugin.mlflow.exceptions import as_mlflow_exception, raises_mlflow
from prompt_registry_plugin.mlflow.genai.filters import in_our_language, name_in
from prompt_registry_plugin.prompts.version import PromptVersion as OurVersion
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.registry.current import current_registry
from prompt_registry_plugin.templates.convert import to_double_brace

logger = logging.getLogger(__name__)
_SINGLE = re.compile(r"(?<!\{)\{[A-Za-z_]\w*\}(?!\})")


@raises_mlflow
def register_prompt(
    name: str,
    template: Template,
    commit_message: str | None = None,
    tags: Mapping[str, str] | None = None,
    response_format: Any = None,
    model_config: Any = None,
) -> PromptVersion:
    """The new version; the newest one where its content is the same. A text, or messages, with `{% … %}` are Jinja.

    As with MLflow, `tags` are set on the version and on the prompt.
    """
    if hasattr(model_config, "to_dict"):
        model_config = model_config.to_dict()
    named = {str(key): str(value) for key, value in (tags or {}).items()}
    if not isinstance(template, str):
        _check_messages(template)
    version = current_registry().register_prompt(
        name,
        template,
        commit_message=commit_message,
        tags=named,
        template_format=format_of(template),
        response_format=response_format,
        model_config=model_config,
    )
    for key, value in named.items():
        current_registry().set_prompt_tag(name, key, value)
    linking.link_to_experiment(version.name)
    return PromptVersion.of(version)


@raises_mlflow
def _check_messages(template: Any) -> None:
    """Raises `InvalidTemplate`, in MLflow's words, for a list of something else than messages."""
    messages = template if isinstance(template, list | tuple) else [None]
    for number, message in enumerate(messages, 1):
        if not isinstance(message, Mapping) or not ("role" in message or "type" in message):
            raise InvalidTemplate(f"Template must be a list of dicts with role and content; message {number} is {message!r:.80}")


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


@raises_mlflow
def load_prompt(
    name_or_uri: str,
    version: int | str | None = None,
    allow_missing: bool = False,
    link_to_model: bool = True,
    model_id: str | None = None,
    cache_ttl_seconds: float | None = None,
) -> Any:
    """The version that a name or URI points at now: a moved alias counts at once, so `cache_ttl_seconds` has no meaning here.

    It is noted in the run that is active (`mlflow.linkedPrompts`). Agents are not stored as models here: there is none to note it in.
    """
    found = find_version(name_or_uri, version, allow_missing=allow_missing)
    if found is not None:
        linking.link_here(found)
    return found


@raises_mlflow
def find_version(name_or_uri: str, version: int | str | None = None, *, allow_missing: bool = False) -> PromptVersion | None:
    """The version that a name or URI points at. Says in MLflow's words, and then in ours, what is not there."""
    try:
        found = current_registry().load_prompt(name_or_uri, version, allow_missing=allow_missing)
    except PromptNotFound as error:
        wanted = uri.parse(name_or_uri, version)
        raise as_mlflow_exception(error, f"{_what_is_missing(wanted)} not found. {error}") from None
    return None if found is None else PromptVersion.of(found)


def _what_is_missing(wanted: uri.PromptURI) -> str:
    if linking.find_prompt(wanted.name) is None:
        return f"Prompt with name={wanted.name}"
    return f"Prompt alias {wanted.alias}" if wanted.version is None else f"Prompt (name={wanted.name}, version={wanted.version})"


@raises_mlflow
def search_prompts(
    filter_string: str | None = None, max_results: int | None = None, order_by: Sequence[str] | None = None
) -> list[PromptVersion]:
    """The newest version of each prompt that matches; of a filter that names one prompt (`name = 'x'`), all its versions.

    The language is that of `prompt_registry_plugin.search_prompts`, with `experiment_id = '…'`, and `catalog = 'a' AND schema = 'b'` for
    names that begin with `a.b.`.
    """
    if filter_string is not None and (name := name_in(filter_string)) is not None:
        try:
            return versions_of(name)[:max_results]
        except PromptNotFound:
            return []
    registry = current_registry()
    wanted, prefix = in_our_language(filter_string)
    found: list[PromptVersion] = []
    token: str | None = None
    while max_results is None or len(found) < max_results:
        page = registry.search_prompts(wanted, order_by=order_by, page_token=token)
        names = [prompt.name for prompt in page if prompt.latest_version and prompt.name.startswith(prefix)]
        found += [PromptVersion.of(registry.load_source(name)) for name in names]
        token = page.token
        if token is None:
            break
    return found[:max_results]


@raises_mlflow
def versions_of(name: str) -> list[PromptVersion]:
    """All versions of a prompt, newest first. Raises `PromptNotFound`."""
    history = current_registry().prompt_history(name)
    return [PromptVersion.of(entry) for entry in reversed(history) if isinstance(entry, OurVersion)]


@raises_mlflow
def set_prompt_alias(name: str, alias: str, version: int | str) -> None:
    """Points an alias at a version."""
    number = uri.parse(name, version).version
    if number is None:
        raise UserError(f"version of {name!r} is a number, not {version!r}")
    current_registry().set_prompt_alias(name, alias, number)


@raises_mlflow
def delete_prompt_alias(name: str, alias: str) -> None:
    """Removes an alias; one that is not there is no matter, as with MLflow."""
    try:
        current_registry().delete_prompt_alias(name, alias)
    except PromptNotFound as error:
        logger.info("no alias was deleted: %s", error)


@raises_mlflow
def get_prompt_tags(name: str) -> dict[str, str]:
    """The tags of a prompt as a whole. Raises `PromptNotFound`."""
    if (prompt := linking.find_prompt(name)) is None:
        raise PromptNotFound(f"no prompt {name!r} in {current_registry().place}")
    return dict(prompt.tags)


@raises_mlflow
def set_prompt_tag(name: str, key: str, value: str) -> None:
    """Sets a tag of a prompt as a whole."""
    current_registry().set_prompt_tag(name, key, str(value))


@raises_mlflow
def delete_prompt_tag(name: str, key: str) -> None:
    """Removes a tag of a prompt."""
    current_registry().delete_prompt_tag(name, key)


@raises_mlflow
def set_prompt_version_tag(name: str, version: int | str, key: str, value: str) -> None:
    """Sets a tag of one version; it never changes the template."""
    current_registry().set_prompt_version_tag(name, int(version), key, str(value))


@raises_mlflow
def delete_prompt_version_tag(name: str, version: int | str, key: str) -> None:
    """Removes a tag of one version."""
    current_registry().delete_prompt_version_tag(name, int(version), key)


@raises_mlflow
def set_prompt_model_config(name: str, version: int | str, model_config: Any) -> None:
    """Sets the model settings of a version, as this layer shows them: beside the version, whose own do not change.

    What the rest of the library sends to a model are the settings that a version was registered with. Raises pydantic's
    `ValidationError` for a value out of its range.
    """
    with needs_extra("config", "set_prompt_model_config needs"):
        from prompt_registry_plugin.mlflow.entities.model_registry.prompt_model_config import model_config_of

    settings = json.dumps(model_config_of(model_config), ensure_ascii=False)
    current_registry().set_prompt_version_tag(name, int(version), MODEL_CONFIG_TAG, settings)


@raises_mlflow
def delete_prompt_model_config(name: str, version: int | str) -> None:
    """Removes the model settings of a version, as this layer shows them."""
    current_registry().set_prompt_version_tag(name, int(version), MODEL_CONFIG_TAG, "null")
