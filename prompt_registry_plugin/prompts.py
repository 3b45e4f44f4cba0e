"""A version of a prompt: a frozen record that renders itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from typing import Any

from prompt_registry_plugin import scope
from prompt_registry_plugin.frozen import FrozenDict, freeze
from prompt_registry_plugin.records import EMPTY, Template, TemplateFormat, digest, utc_now
from prompt_registry_plugin.templates import CompiledTemplate, TextTemplate, compile_template, to_single_brace


@dataclass(frozen=True)
class PromptVersion:
    """One immutable version of a prompt, as the registry stores it.

    `template` is a text or a list of chat messages, and neither it nor any other field can be changed. `aliases` and `tags` are
    as they were when the version was loaded. `parent` is the version it was derived from, `run_id` the optimization run that
    wrote it. `candidate_id` is set while an override stands in for the stored text.
    """

    name: str
    version: int
    template: Template
    template_format: TemplateFormat = "double_brace"
    commit_message: str | None = None
    tags: Mapping[str, str] = EMPTY
    aliases: Sequence[str] = ()
    response_format: Mapping[str, Any] | None = None
    model_config: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] | None = None
    parent: int | None = None
    run_id: str | None = None
    created_at: datetime = field(default_factory=utc_now)
    created_by: str = ""
    candidate_id: str | None = None
    filled: Mapping[str, Any] = EMPTY

    def __post_init__(self) -> None:
        for name in ("template", "tags", "response_format", "model_config", "tools"):
            object.__setattr__(self, name, freeze(getattr(self, name)))
        object.__setattr__(self, "aliases", tuple(self.aliases))

    @cached_property
    def compiled(self) -> CompiledTemplate:
        """The compiled template, made on first use and kept."""
        return compile_template(self.template, self._label)

    @property
    def uri(self) -> str:
        """`prompts:/name/version`."""
        return f"prompts:/{self.name}/{self.version}"

    @property
    def is_text_prompt(self) -> bool:
        """Whether the template is a text rather than chat messages."""
        return isinstance(self.template, str)

    @property
    def variables(self) -> frozenset[str]:
        """The names that `format` needs values for (a placeholder that is optional is not among them)."""
        return self.compiled.variables

    @cached_property
    def content_hash(self) -> str:
        """A hash of all that makes a version what it is: template, format, response format, model config, tools."""
        return digest([self.template, self.template_format, self.response_format, self.model_config, self.tools])

    @property
    def _label(self) -> str:
        return f"prompt {self.name!r}"

    def format(self, values: Mapping[str, Any] | None = None, /, *, allow_partial: bool = False, **variables: Any) -> Any:
        """The rendered text, or the list of rendered messages.

        Values come as keywords, or as a mapping for names that are no keywords. Names that the template does not know are
        ignored. Inside `override_prompts` the candidate is rendered; inside `record()` the render is a span.

        Raises `MissingVariable`, naming variable and prompt. With `allow_partial=True`, when something is missing, returns a
        `PromptVersion` in which what was given is filled in (as text: it is never read as a template) and the rest is kept.
        """
        given = {**self.filled, **(values or {}), **variables}
        override, recorder = scope.current_override(), scope.current_recorder()
        template = override.find(self.name) if override is not None else None
        if allow_partial and not (template or self.compiled).variables <= given.keys():
            return replace(self, template=self.compiled.partial(given), filled=FrozenDict(given))
        loaded_as_it = template is not None and self.candidate_id is not None and template.source is self.template
        if override is not None and template is not None and not loaded_as_it:  # that was counted when it was loaded
            override.count(self.name)
        candidate = self.candidate_id if template is None else digest(template.source)
        rendered = (template or self.compiled).render(given, self._label)
        if recorder is not None:
            recorder.add_prompt(
                (template or self.compiled).source,
                rendered,
                given,
                name=self.name,
                version=None if candidate else self.version,
                candidate=candidate,
            )
        return rendered

    def as_candidate(self, template: CompiledTemplate) -> PromptVersion:
        """This version with another template, marked as a candidate."""
        return replace(self, template=template.source, candidate_id=digest(template.source))

    def to_single_brace_format(self) -> Template:
        """The template with `{name}` for variables and doubled literal braces, for frameworks that want that."""
        return to_single_brace(self.template, self._label)

    def __str__(self) -> str:
        text = self.template if isinstance(self.template, str) else f"{len(self.template)} messages"
        return f"{self.uri}: {text[:60]}{'…' if len(text) > 60 else ''}"


def text_of(rendered: Any) -> str:
    """Rendered text or messages as one readable text."""
    if isinstance(rendered, str):
        return rendered
    return "\n".join(f"[{role_of(message)}] {content_of(message)}" for message in rendered)


def role_of(message: Any) -> str:
    """The role of a message dictionary or object, in the words of the chat protocol."""
    role = message.get("role") if isinstance(message, Mapping) else getattr(message, "type", None)
    return {"human": "user", "ai": "assistant"}.get(str(role), str(role or "message"))


def content_of(message: Any) -> str:
    """The text in a message dictionary or object; parts that are no text are named by their type."""
    content = message.get("content") if isinstance(message, Mapping) else getattr(message, "content", message)
    if isinstance(content, list | tuple):
        return " ".join(
            str(part.get("text") or f"<{part.get('type', 'part')}>") if isinstance(part, Mapping) else str(part)
            for part in content
        )
    return "" if content is None else str(content)


__all__ = ["CompiledTemplate", "PromptVersion", "TextTemplate", "content_of", "role_of", "text_of"]
