"""A version of a prompt: a frozen record that renders itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import InvalidTemplate, PluginError
from prompt_registry_plugin.frozen import FrozenDict, freeze
from prompt_registry_plugin.prompts import context as scope
from prompt_registry_plugin.prompts import conversion, lost_contexts
from prompt_registry_plugin.prompts.messages import content_of, readable_text, role_of
from prompt_registry_plugin.records import EMPTY, ServedFrom, Template, TemplateFormat, digest, utc_now
from prompt_registry_plugin.templates import CompiledTemplate, TextTemplate, compile_template
from prompt_registry_plugin.templates.convert import to_mustache, to_single_brace
from prompt_registry_plugin.templates.schemas import check_values, make_validators

if TYPE_CHECKING:
    from jsonschema.protocols import Validator


@dataclass(frozen=True)
class PromptVersion:
    """One immutable version of a prompt, as the registry stores it. It renders itself.

    Text values that you pass to `format` are never read as templates.
    """

    name: str
    """The prompt's name."""
    version: int
    """The number, from 1; 0 for a fallback."""
    template: Template
    """A string or a list of chat messages, with included prompts expanded."""
    template_format: TemplateFormat = "double_brace"
    """The dialect of the template."""
    commit_message: str | None = None
    """Why the version was registered, or None."""
    tags: Mapping[str, str] = EMPTY
    """Tags of the version when it was loaded."""
    aliases: Sequence[str] = ()
    """Aliases that pointed at the version when it was loaded."""
    response_format: Mapping[str, Any] | None = None
    """The JSON Schema of the answer, or None."""
    model_config: Mapping[str, Any] | None = None
    """Model and sampling settings, or None."""
    tools: Sequence[Mapping[str, Any]] | None = None
    """Definitions of tools, as the chat protocol has them, or None."""
    parent: int | None = None
    """The version that it was derived from, or None."""
    run_id: str | None = None
    """The optimization run that wrote it, or None."""
    created_at: datetime = field(default_factory=utc_now)
    """When it was registered, in UTC."""
    created_by: str = ""
    """Who registered it."""
    candidate_id: str | None = None
    """The id of the candidate, if an override replaced the stored template; else None."""
    filled: Mapping[str, Any] = EMPTY
    """Values that `format(allow_partial=True)` filled in."""
    variable_schemas: Mapping[str, Any] = EMPTY
    """A JSON Schema for each variable that has one; `format` checks the values."""
    source: Template | None = None
    """The template as it was written, if it includes other prompts; else None."""
    includes: Sequence[str] = ()
    """URIs of the versions that the template includes."""
    served_from: ServedFrom = "registry"
    """`registry`; `last_good` for the local copy, if the registry is unreachable; `fallback` for the caller's text."""

    def __post_init__(self) -> None:
        for name in ("template", "tags", "response_format", "model_config", "tools", "variable_schemas", "source"):
            value = getattr(self, name)
            if value is not None and type(value) is not str and value is not EMPTY:
                object.__setattr__(self, name, freeze(value))
        object.__setattr__(self, "aliases", tuple(self.aliases))
        object.__setattr__(self, "includes", tuple(self.includes))

    def __getstate__(self) -> dict[str, Any]:
        return {
            field.name: self.__dict__[field.name] for field in fields(self)
        }  # cached properties, such as validators, may not pickle

    @cached_property
    def compiled(self) -> CompiledTemplate:
        """The compiled template, made on first use and kept."""
        return compile_template(self.template, self._label, self.template_format)

    @property
    def uri(self) -> str:
        """`prompts:/name/version`."""
        return f"prompts:/{self.name}/{self.version}"

    @property
    def is_text_prompt(self) -> bool:
        """Whether the template is a string rather than chat messages."""
        return isinstance(self.template, str)

    @property
    def variables(self) -> frozenset[str]:
        """The names of the values that `format` needs. Optional placeholders are not among them."""
        return self.compiled.variables

    @cached_property
    def content_hash(self) -> str:
        """A hash of the content: template as written, format, response format, model config, tools and variable schemas."""
        written = self.template if self.source is None else self.source
        content = [written, self.template_format, self.response_format, self.model_config, self.tools]
        return digest([*content, self.variable_schemas] if self.variable_schemas else content)

    @cached_property
    def _validators(self) -> dict[str, Validator]:
        return make_validators(self.variable_schemas)

    @cached_property
    def _label(self) -> str:
        return f"prompt {self.name!r}"

    def format(self, values: Mapping[str, Any] | None = None, /, *, allow_partial: bool = False, **variables: Any) -> Any:
        """Return the rendered text, or the list of rendered messages.

        Pass values as keywords, or as a mapping for names that are not valid keywords. Unknown names are ignored. Inside
        `override_prompts` the candidate is rendered. Inside `record()` the render becomes a span.

        Raises `MissingVariable`, with the variable and the prompt, and `InvalidVariable` for a value that its schema refuses.
        With `allow_partial=True`, missing values do not raise: the result is a `PromptVersion` with the given values filled in.
        """
        given = {**self.filled, **(values or {}), **variables} if values or self.filled else variables
        if self.variable_schemas:
            check_values(self._validators, given, self._label)
        override, recorder = scope.current_override(), scope.current_recorder()
        template = override.find(self.name) if override is not None else None
        if allow_partial and not (template or self.compiled).variables <= given.keys():
            return replace(self, template=self.compiled.partial(given), source=None, filled=FrozenDict(given))
        if override is None and recorder is None and not (render_listeners or lost_contexts.watching):
            return self.compiled.render(given, self._label)  # the usual case in production, kept short
        loaded_as_it = template is not None and self.candidate_id is not None and template.source is self.template
        if override is not None and template is not None and not loaded_as_it:  # a candidate that was loaded was counted then
            override.count(self.name)
        candidate = self.candidate_id if template is None else digest(template.source)
        if candidate is None and lost_contexts.watching:
            for used in (self.name, *(uri.parse(included).name for included in self.includes)):
                scope.note_unscoped(used, given)
        rendered = (template or self.compiled).render(given, self._label)
        if recorder is not None:
            recorder.add_prompt(
                (template or self.compiled).source,
                rendered,
                given,
                name=self.name,
                version=None if candidate else self.version,
                candidate=candidate,
                served_from=self.served_from,
                includes=self.includes,
            )
        for listener in render_listeners:
            listener(self, candidate, given)
        return rendered

    def as_candidate(self, template: CompiledTemplate) -> PromptVersion:
        """Return this version with another template, marked as a candidate."""
        return replace(self, template=template.source, candidate_id=digest(template.source), source=None, includes=())

    def to_single_brace_format(self) -> Template:
        """Return the template with `{name}` for variables and doubled literal braces, as f-strings have them."""
        self._check_convertible()
        return to_single_brace(self.template, self._label)

    def to_mustache_format(self) -> Template:
        """Return the template with `{{{name}}}` for variables: mustache without HTML escaping."""
        self._check_convertible()
        return to_mustache(self.template, self._label)

    def to_template(self, framework: str) -> Any:
        """Return this version as a prompt template of a framework, as the hook `prompt_registry_as_template` makes it.

        Raises `PluginError` if no plugin makes templates of that framework, or if it is not installed.
        """
        template = conversion.as_template(self, framework)
        if template is None:
            raise PluginError(
                f"No installed plugin makes prompt templates of {framework!r}. "
                "`prompt-registry plugins` lists the plugins, and why one was skipped."
            )
        return template

    def to_langchain(self) -> Any:
        """Return this version as a LangChain prompt template. Raises `PluginError` if LangChain is not installed."""
        return self.to_template("langchain")

    def _check_convertible(self) -> None:
        if self.template_format != "double_brace":
            raise InvalidTemplate(f"{self._label} is a {self.template_format} template; only double_brace ones can be converted")

    def __str__(self) -> str:
        text = self.template if isinstance(self.template, str) else f"{len(self.template)} messages"
        return f"{self.uri}: {text[:60]}{'…' if len(text) > 60 else ''}"


RenderListener = Callable[[PromptVersion, str | None, Mapping[str, object]], None]
"""Called with the version, the id of the candidate that was rendered instead (or None), and the values."""

render_listeners: tuple[RenderListener, ...] = ()
"""Called after every render, in every scope."""


def add_render_listener(listener: RenderListener) -> None:
    """Call `listener` after every render. Adding it again changes nothing."""
    global render_listeners
    if listener not in render_listeners:
        render_listeners = (*render_listeners, listener)


def remove_render_listener(listener: RenderListener) -> None:
    """Stop calling `listener`. Unknown ones are ignored."""
    global render_listeners
    render_listeners = tuple(known for known in render_listeners if known != listener)


__all__ = ["CompiledTemplate", "PromptVersion", "TextTemplate", "content_of", "readable_text", "role_of"]
