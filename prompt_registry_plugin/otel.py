"""OpenTelemetry: rendering a prompt names it on the current span, in the terms of the GenAI conventions.

`enable("otel")` switches it on (as does `enable()`, where opentelemetry-api is installed). Variables can hold personal data, so they
are written only when `PROMPT_REGISTRY_OTEL_VARIABLES` is `true`, with secrets masked.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from prompt_registry_plugin.errors import PluginError
from prompt_registry_plugin.hookspecs import hookimpl
from prompt_registry_plugin.masking import clean
from prompt_registry_plugin.protocols import Adapter
from prompt_registry_plugin.scope import add_render_listener, remove_render_listener

if TYPE_CHECKING:
    from prompt_registry_plugin.prompts import PromptVersion

# Newer than the constants of the published package, and stable in the conventions.
NAME, VERSION, VARIABLE = "gen_ai.prompt.name", "gen_ai.prompt.version", "gen_ai.prompt.variable."
CANDIDATE = "prompt_registry.candidate"


class OpenTelemetryAdapter:
    """Writes attributes to whatever span is current; makes none of its own."""

    name = "otel"
    requires: tuple[str, ...] = ()

    def enable(self) -> None:
        """Begins to listen. Raises `PluginError` when opentelemetry-api is missing."""
        try:
            import opentelemetry.trace  # noqa: F401
        except ImportError as error:
            raise PluginError("OpenTelemetry is not installed: pip install 'prompt-registry-plugin[otel]'") from error
        add_render_listener(_write)

    def disable(self) -> None:
        """Stops listening."""
        remove_render_listener(_write)


def _write(version: PromptVersion, candidate: str | None, values: Mapping[str, object]) -> None:
    from opentelemetry import trace

    span = trace.get_current_span()
    if not span.is_recording():
        return
    span.set_attribute(NAME, version.name)
    if candidate is None:
        span.set_attribute(VERSION, str(version.version))
    else:
        span.set_attribute(CANDIDATE, candidate)
    if os.environ.get("PROMPT_REGISTRY_OTEL_VARIABLES", "").lower() == "true":
        for key in version.variables & values.keys():
            span.set_attribute(VARIABLE + key, clean(str(values[key])))


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """The adapter to OpenTelemetry."""
    return [OpenTelemetryAdapter()]
