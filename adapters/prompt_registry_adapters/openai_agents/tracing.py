"""An agent's instructions, and the SDK's spans as spans of the current recording.

Model calls are recorded where they are made (`models`). Where that cannot be, the SDK's own span of the call stands in: it says what
came in, but not always the instructions, so that what `get_system_prompt` gave is kept by the span it was asked in (an agent's turn),
which is the parent of the model's span.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any
from weakref import WeakKeyDictionary

from agents.tracing import Span, TracingProcessor, add_trace_processor, get_current_span, get_trace_provider
from agents.tracing import Trace as SDKTrace

from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.moved import forward_old_names
from prompt_registry_plugin.prompts.context import Place, Recorder, current_recorder
from prompt_registry_plugin.tracing.call_site import add_locator, remove_locator

_KINDS = {"agent": "agent", "function": "tool", "handoff": "chain", "guardrail": "chain", "custom": "chain"}
_MODELS = ("generation", "response")
_TOKENS = ("input_tokens", "output_tokens")


class _State:
    attached = False
    models_are_wrapped = False  # whether `models` records the calls


state = _State()
_instructions: WeakKeyDictionary[Recorder, dict[str, str]] = WeakKeyDictionary()
_inputs: WeakKeyDictionary[Recorder, dict[str, Any]] = WeakKeyDictionary()  # what an agent was asked, by its span


def wrap_get_system_prompt(original: Callable[..., Awaitable[str | None]]) -> Callable[..., Awaitable[str | None]]:
    """Replace the instructions of an agent, whenever a turn asks for them: its text, or what its function returned."""

    @wraps(original)
    async def get_system_prompt(self: Any, run_context: Any) -> str | None:
        text = await original(self, run_context)
        if not state.attached or text is None:
            return text
        recorder = current_recorder()
        parent = get_current_span()
        text = framework_prompts.serve_text(
            text, "system", Place(node="instructions", graph=self.name), getattr(run_context, "context", None)
        )
        if recorder is not None and parent is not None and not state.models_are_wrapped:
            _instructions.setdefault(recorder, {})[parent.span_id] = text
        return text

    return get_system_prompt


class RecordingProcessor(TracingProcessor):
    """Turns the SDK's spans into ours. It is told in the context of the run, so the recording is the current one."""

    def on_trace_start(self, trace: SDKTrace) -> None:
        """A workflow needs no span: its agents have theirs."""

    def on_trace_end(self, trace: SDKTrace) -> None:
        """Nothing to end."""

    def on_span_start(self, span: Span[Any]) -> None:
        """An agent, tool, handoff or model begins; turns and tasks get no span of their own."""
        recorder = current_recorder() if state.attached else None
        if recorder is None:
            return
        data = span.span_data
        if data.type in _MODELS and not state.models_are_wrapped:
            recorder.start("llm", _model_name(data), key=span.span_id, parent_id=recorder.span_id(span.parent_id))
        elif data.type in _KINDS:
            name = getattr(data, "name", None) or data.type
            inputs = getattr(data, "input", None)
            recorder.start(
                _KINDS[data.type],  # type: ignore[arg-type]
                str(name),
                key=span.span_id,
                parent_id=recorder.span_id(span.parent_id),
                attributes={"inputs": inputs} if inputs else {},
            )
        else:
            recorder.alias_key(span.span_id, span.parent_id)

    def on_span_end(self, span: Span[Any]) -> None:
        """Ends what was begun."""
        recorder = current_recorder() if state.attached else None
        if recorder is None or not recorder.owns_key(span.span_id):
            return
        data = span.span_data
        error = RuntimeError(str(span.error.get("message"))) if span.error else None
        attributes: dict[str, Any] = {}
        if data.type in _MODELS:
            attributes = _model_attributes(recorder, span)
        else:  # a tool's input is not known when it begins, nor is where a handoff goes
            told = {"inputs": getattr(data, "input", None), "outputs": getattr(data, "output", None)}
            if data.type == "agent":
                told["output_type"] = getattr(data, "output_type", None)
            if data.type == "handoff":
                told |= {"handoff_from": data.from_agent, "handoff_to": data.to_agent}
            attributes = {key: value for key, value in told.items() if value is not None}
        span_id = recorder.span_id(span.span_id)
        if data.type == "agent" and (inputs := _inputs.get(recorder, {}).pop(span_id or "", None)):
            attributes["inputs"] = inputs
        recorder.finish(span_id, attributes=attributes, error=error)

    def shutdown(self) -> None:
        """Nothing is open."""

    def force_flush(self) -> None:
        """Nothing is buffered."""


_PROCESSOR = RecordingProcessor()


def attach() -> None:
    """Makes recordings see runs. One processor, which stays, as the SDK offers no way back; added again if somebody threw it out."""
    known = getattr(getattr(get_trace_provider(), "_multi_processor", None), "_processors", ())
    if _PROCESSOR not in known:
        add_trace_processor(_PROCESSOR)
    state.attached = True
    add_locator(locate)


def detach() -> None:
    """Makes the processor and the wrapper do nothing."""
    state.attached = False
    remove_locator(locate)


def locate(trace: Recorder) -> Place | None:
    """The agent's turn that the current code runs in."""
    current = get_current_span() if state.attached else None
    parent_id = trace.span_id(current.span_id) if current is not None else None
    return None if parent_id is None else Place(parent_id)


def _model_name(data: Any) -> str:
    response = getattr(data, "response", None)
    return str(getattr(data, "model", None) or getattr(response, "model", None) or "model")


def _model_attributes(recorder: Recorder, span: Span[Any]) -> dict[str, Any]:
    data = span.span_data
    given = data.input
    messages = messages_of(given)
    kept = _instructions.get(recorder, {}).get(span.parent_id or "")
    if kept and not any(message.get("content") == kept for message in messages):
        messages.insert(0, {"role": "system", "content": kept})
    response = getattr(data, "response", None)
    items = getattr(response, "output", None) or getattr(data, "output", None) or ()
    output, calls = item_text(items), tool_calls_of(items)
    usage = getattr(response, "usage", None) or data.usage or {}
    return {**recorder.model_attributes(messages), "output": output, **tokens_of(usage), "model": _model_name(data),
            **({"tool_calls": calls} if calls else {})}  # fmt: skip


def keep_inputs(recorder: Recorder, messages: Sequence[Mapping[str, Any]]) -> None:
    """Keep the user messages of an agent's first model call as the inputs of its span: the SDK's span does not have them."""
    current = get_current_span()
    span_id = recorder.span_id(current.span_id) if current is not None else None  # a turn's is its agent's
    if span_id is not None:
        asked = [message["content"] for message in messages if message.get("role") == "user"]
        _inputs.setdefault(recorder, {}).setdefault(span_id, asked[0] if len(asked) == 1 else asked)


def tokens_of(usage: Any) -> dict[str, int]:
    """The tokens in whatever shape the SDK has them."""
    tokens = usage if isinstance(usage, Mapping) else {name: getattr(usage, name, 0) for name in _TOKENS}
    return {name: tokens.get(name) or 0 for name in _TOKENS}


def tool_calls_of(items: Any) -> list[dict[str, Any]]:
    """The calls among the items that a model answered with: of functions and handoffs, and of what OpenAI runs itself (`web_search`)."""
    calls: list[dict[str, Any]] = []
    for item in items if isinstance(items, list | tuple) else ():
        data = item if isinstance(item, Mapping) else getattr(item, "__dict__", {})
        kind = str(data.get("type") or "")
        if kind.endswith("_call"):
            arguments: Any = next(
                (data[key] for key in ("arguments", "input", "action", "queries", "code") if data.get(key)), None
            )
            if hasattr(arguments, "model_dump"):
                arguments = arguments.model_dump(exclude_none=True)
            calls.append({"name": data.get("name") or kind.removesuffix("_call"), "args": arguments})
    return calls


def messages_of(given: Any) -> list[Mapping[str, Any]]:
    """What a model is given, in the words of the chat protocol."""
    if isinstance(given, str):
        return [{"role": "user", "content": given}]
    found: list[Mapping[str, Any]] = []
    for item in given or ():
        data = item if isinstance(item, Mapping) else getattr(item, "__dict__", {})
        if "content" in data:
            role = str(data.get("role") or "message")
            content = data["content"]
            found.append({"role": role, "content": _blocks(content) if role in _GIVEN else item_text(content)})
        elif "output" in data:
            found.append({"role": "tool", "content": str(data["output"])})
    return found


_GIVEN = ("user", "system", "developer")  # the roles of what a model is told, rather than what it said


def _blocks(content: Any) -> Any:
    """Return the content of a message part by part: a text that stands beside an image is a text of its own."""
    if not isinstance(content, list | tuple):
        return item_text(content)
    return [
        {"type": "text", "text": text} if (text := item_text(part)) else {"type": str(part.get("type", "part"))}
        for part in content
        if isinstance(part, Mapping)
    ]


def item_text(value: Any) -> str:
    """The text in whatever shape the SDK has it: a text, parts, messages."""
    if isinstance(value, str):
        return value
    if isinstance(value, list | tuple):
        return "".join(item_text(item) for item in value)
    inner = None
    for key in ("text", "content"):
        inner = inner or (value.get(key) if isinstance(value, Mapping) else getattr(value, key, None))
    return item_text(inner) if inner else ""


forward_old_names(__name__)
