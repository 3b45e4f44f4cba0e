"""OpenTelemetry: name a rendered prompt on the current span, and export recordings as spans, by the GenAI conventions.

`enable("otel")` switches it on, as does `enable()` if opentelemetry-api is installed. Variables and messages can hold personal
data. Variables are written only if `PROMPT_REGISTRY_OTEL_VARIABLES` is `true`, messages only if OpenTelemetry's own
`OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT` is. Secrets are masked in both.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from typing import Any

from prompt_registry_plugin.masking import Masker, json_copy
from prompt_registry_plugin.prompts.version import PromptVersion, add_render_listener, remove_render_listener
from prompt_registry_plugin.records import Span
from prompt_registry_plugin.tracing.trace import Trace

# By hand: these names are stable in the conventions, but newer than the constants of the published package.
NAME, VERSION, VARIABLE = "gen_ai.prompt.name", "gen_ai.prompt.version", "gen_ai.prompt.variable."
CANDIDATE = "prompt_registry.candidate"


_OPERATIONS = {"llm": "chat", "tool": "execute_tool", "agent": "invoke_agent", "prompt": "render_prompt"}
_listening = False


def start() -> None:
    """Write the prompts that are rendered from now on, and export the recordings that end."""
    global _listening
    _listening = True
    add_render_listener(_write)


def stop() -> None:
    """Write and export nothing more."""
    global _listening
    _listening = False
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
    if _is_asked_for("PROMPT_REGISTRY_OTEL_VARIABLES"):
        shown = Masker().data(json_copy({key: values[key] for key in version.variables & values.keys()}))
        for key, value in shown.items():
            span.set_attribute(VARIABLE + key, str(value))


def export(trace: Trace) -> None:
    """Export a recording as spans, unless stopped."""
    if not _listening:
        return
    from opentelemetry.context import Context
    from opentelemetry.trace import SpanKind, Status, StatusCode, get_tracer, set_span_in_context

    tracer = get_tracer("prompt-registry-plugin")
    ended = max((span.ended_at or span.started_at for span in trace.spans), default=trace.started_at)
    root = tracer.start_span(trace.name, start_time=_nanoseconds(trace.started_at), context=Context())
    root.set_attribute("prompt_registry.trace_id", trace.id)
    made: dict[str | None, Any] = {}
    known = {span.id: span for span in trace.spans}
    for _, span in trace.walk() if root.is_recording() else ():
        kind = SpanKind.CLIENT if span.kind == "llm" else SpanKind.INTERNAL
        parent = set_span_in_context(made.get(span.parent_id, root))
        operation = _OPERATIONS.get(span.kind)
        name = f"{operation} {span.name}" if operation else span.name
        exported = tracer.start_span(name, context=parent, kind=kind, start_time=_nanoseconds(span.started_at))
        exported.set_attributes(_attributes(span, known))
        if error := span.error or span.attributes.get("recovered"):  # the step failed, whatever was made of that above
            exported.set_attribute("error.type", error.partition(":")[0])
            exported.set_status(Status(StatusCode.ERROR, error))
        made[span.id] = exported
    for span in trace.spans if made else ():
        made[span.id].end(_nanoseconds(span.ended_at or ended))
    root.end(_nanoseconds(ended))


def _attributes(span: Span, known: Mapping[str, Span]) -> dict[str, Any]:
    """Return a span's attributes by the GenAI conventions. `known` are the spans of the trace, by id."""
    a = span.attributes
    found: dict[str, Any] = {}
    if span.kind in _OPERATIONS and span.kind != "prompt":
        found["gen_ai.operation.name"] = _OPERATIONS[span.kind]
    if span.kind == "llm":
        shown = [known[prompt_id].attributes for prompt_id in a.get("prompts", ()) if prompt_id in known]
        found |= {
            "gen_ai.request.model": str(a.get("model") or span.name),
            "gen_ai.usage.input_tokens": a.get("input_tokens"),
            "gen_ai.usage.output_tokens": a.get("output_tokens"),
            "prompt_registry.cost": a.get("cost"),
            "prompt_registry.prompts": [_name(prompt) for prompt in shown if prompt["prompt"]] or None,
        }
        if len(shown) == 1:
            found |= {NAME: shown[0]["prompt"], VERSION: shown[0]["version"], CANDIDATE: shown[0]["candidate"]}
        if _is_asked_for("OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"):
            sent = [
                {"role": message["role"], "parts": [{"type": "text", "content": message["content"]}]}
                for message in a.get("messages", ())
            ]
            said = [{"role": "assistant", "parts": [{"type": "text", "content": a.get("output", "")}], "finish_reason": "stop"}]
            found |= {"gen_ai.input.messages": json.dumps(sent), "gen_ai.output.messages": json.dumps(said)}
    elif span.kind == "tool":
        found["gen_ai.tool.name"] = span.name
    elif span.kind == "agent":
        found["gen_ai.agent.name"] = span.name
    elif span.kind == "prompt":
        found |= {NAME: a["prompt"] or a["proposed_name"], VERSION: a["version"], CANDIDATE: a["candidate"]}
        if _is_asked_for("PROMPT_REGISTRY_OTEL_VARIABLES"):
            found |= {VARIABLE + key: str(value) for key, value in a["variables"].items()}
    version = {VERSION: str(found[VERSION])} if found.get(VERSION) is not None else {}
    return {key: value for key, value in {**found, **version}.items() if value is not None}


def _name(prompt: Mapping[str, Any]) -> str:
    return f"{prompt['prompt']}/{prompt['version'] or prompt['candidate']}"


def _nanoseconds(seconds: float) -> int:
    return int(seconds * 1e9)


def _is_asked_for(variable: str) -> bool:
    return os.environ.get(variable, "").lower() == "true"
