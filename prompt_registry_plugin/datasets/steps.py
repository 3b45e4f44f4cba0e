"""The step of a trace that makes a row: what went into an agent and what came out, so that the same agent can be run on the row again.

| outermost step | inputs of the row |
|---|---|
| a function with `@trace`, a chain, a graph with a state of its own | its arguments or state, as they are |
| a conversation of one user message, as of `create_agent` | `input`: the text, and the other fields of the state |
| a longer conversation that was passed in whole | `messages` |
| an agent of Pydantic AI, OpenAI Agents or ADK | `input`: the user's text |
| a chain that was given a text | the text, by the name of the only variable that it fills, else `input` |
| one model call, alone or with a prompt | the variables of the prompt, and `input`: the user's message |

A step that continues a conversation makes no row, because what was said before is not in its inputs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from prompt_registry_plugin.errors import NotPlainData
from prompt_registry_plugin.frozen import json_or_text
from prompt_registry_plugin.plain.answers import answer_data
from prompt_registry_plugin.plain.messages import text_or_calls
from prompt_registry_plugin.prompts.messages import content_of, role_of
from prompt_registry_plugin.records import Span
from prompt_registry_plugin.tracing.calls import calls_of
from prompt_registry_plugin.tracing.trace import Trace

_INPUT = "input"
_SAID_BEFORE = ("assistant", "ai", "model", "tool")


class Step(NamedTuple):
    """What went into a step and what came out."""

    inputs: Mapping[str, Any]
    """The inputs of a row."""
    output: Any
    """The answer as plain data; None if the step failed, or if the answer is not known."""


class Continued(NamedTuple):
    """A step that continues a conversation that began before it."""


def step_of(trace: Trace) -> tuple[Mapping[str, Any], Any] | None:
    """Return (inputs, output) of the outermost step of a trace whose inputs are known; None if there is none.

    The output is plain data, and None if the step failed.
    """
    found = find_step(trace)
    return tuple(found) if isinstance(found, Step) else None


def find_step(trace: Trace) -> Step | Continued | None:
    """Return the step that makes a row, `Continued` if its inputs are not all that the agent was given, or None."""
    tree = _Tree(trace)
    for depth, span in tree.walk:
        if span.kind in ("prompt", "llm") or (span.kind == "tool" and depth):
            continue  # a tool that a model called is no step that anybody asks for
        inputs = span.attributes.get("inputs")
        if isinstance(inputs, Mapping) and inputs:
            return _from_mapping(span, inputs)
        if span.kind == "agent" and isinstance(inputs, list) and len(inputs) > 1:
            return Continued()
        if isinstance(inputs, str) and inputs.strip() and span.kind in ("agent", "chain"):
            return _from_text(tree, span, inputs)
    return _from_model_call(tree)


class _Tree:
    """The spans of a trace with what is inside and beside them."""

    def __init__(self, trace: Trace) -> None:
        self.walk = list(trace.walk())
        self.by_id = {span.id: span for _, span in self.walk}
        self._places = {span.id: place for place, (_, span) in enumerate(self.walk)}

    def inside(self, span: Span) -> list[Span]:
        """Return the spans inside of one, in order."""
        place = self._places[span.id]
        depth = self.walk[place][0]
        found = []
        for inner_depth, inner in self.walk[place + 1 :]:
            if inner_depth <= depth:
                break
            found.append(inner)
        return found

    def next_agent(self, span: Span) -> Span | None:
        """Return the agent beside a span that ran after it, or None."""
        place = self._places[span.id]
        depth = self.walk[place][0]
        for other_depth, other in self.walk[place + 1 :]:
            if other_depth < depth:
                return None
            if other_depth == depth and other.kind == "agent":
                return other
        return None


def _from_mapping(span: Span, inputs: Mapping[str, Any]) -> Step | Continued:
    if inputs.keys() >= {"resume", "goto", "update"}:
        return Continued()  # the `Command` that resumes a graph of LangGraph
    output = span.attributes.get("output", span.attributes.get("outputs"))
    messages = inputs.get("messages")
    if not isinstance(messages, list | tuple) or not messages:
        return Step(inputs, _answer(span, output))
    given = [_message(each) for each in messages]
    state = output if isinstance(output, Mapping) else {}
    said = [_message(each) for each in state.get("messages") or ()]
    if said and said[0]["content"] != given[0]["content"]:
        return Continued()  # a checkpointer had more
    rest = {name: value for name, value in inputs.items() if name != "messages" and value not in (None, "", [], {})}
    structured = state.get("structured_response")
    answer = structured if structured is not None else content_of(said[-1]) if said else output
    if len(given) == 1 and given[0]["role"] == "user" and _INPUT not in rest:
        return Step({_INPUT: given[0]["content"], **rest}, _answer(span, answer))
    # The target returns the whole state then, whose answer is known if it has nothing but messages.
    has_more = structured is None and set(state) != {"messages"}
    return Step({"messages": given, **rest}, _answer(span, output if has_more else answer))


def _message(value: Any) -> dict[str, Any]:
    """Return a message in the chat protocol: from a mapping, a text, or a pair of role and text."""
    if isinstance(value, list | tuple) and len(value) == 2:
        value = {"role": value[0], "content": value[1]}
    if not isinstance(value, Mapping):
        return {"role": "user", "content": str(value)}
    role = role_of(value) if "role" in value else role_of({"role": value.get("type")})
    return {"role": {"human": "user", "ai": "assistant"}.get(role, role), "content": content_of(value)}


def _from_text(tree: _Tree, span: Span, text: str) -> Step | Continued:
    inside = tree.inside(span)
    calls = sorted((each for each in inside if each.kind == "llm"), key=lambda each: each.started_at)
    if span.kind == "agent" and calls and any(message["role"] in _SAID_BEFORE for message in _messages_of(calls[0])):
        return Continued()
    name = _INPUT if span.kind == "agent" else _variable_with(inside, text)
    output = span.attributes.get("output", span.attributes.get("outputs"))
    last = span
    if output is None and span.kind == "agent":
        while any("handoff_to" in each.attributes or each.name == "handoff" for each in tree.inside(last)):
            if (following := tree.next_agent(last)) is None:
                break
            last = following
        output = last.attributes.get("outputs", _last_answer(tree, last))
    return Step({name: text}, _answer(last if span.error is None else span, output))


def _messages_of(call: Span) -> list[dict[str, Any]]:
    messages = call.attributes.get("messages")
    return [_message(each) for each in messages if isinstance(each, Mapping)] if isinstance(messages, list | tuple) else []


def _variable_with(spans: Sequence[Span], text: str) -> str:
    """Return the name of the only variable of the first prompt, if the text is its value, or `input`."""
    variables = next((span.attributes.get("variables") for span in spans if span.kind == "prompt"), None)
    return next(iter(variables)) if isinstance(variables, Mapping) and list(variables.values()) == [text] else _INPUT


def _last_answer(tree: _Tree, agent: Span) -> Any:
    """Return what an agent answered last: a text, the data in it if it has a type of output, or the result of the tool that ended it."""
    steps = [span for span in tree.inside(agent) if span.parent_id == agent.id and span.kind in ("llm", "tool")]
    if not steps:
        return None
    last = steps[-1]
    if last.kind == "tool":
        return last.attributes.get("outputs")
    text = last.attributes.get("output")
    if agent.attributes.get("output_type") not in (None, "str") and isinstance(text, str):
        with suppress(ValueError, RecursionError):
            return json.loads(text)
    return text or None


def _from_model_call(tree: _Tree) -> Step | Continued | None:
    """Return the step that is the only model call of a trace, such as a prompt with a model."""
    steps = [span for _, span in tree.walk if span.kind != "prompt"]
    if len(steps) != 1 or steps[0].kind != "llm":
        return None
    [call] = steps
    messages = _messages_of(call)
    prompts = [tree.by_id[each] for each in call.attributes.get("prompts") or () if each in tree.by_id]
    rendered = {str(text).strip() for prompt in prompts for text in prompt.attributes.get("texts") or ()}
    said = [message for message in messages if message["content"].strip() not in rendered]
    if any(message["role"] in _SAID_BEFORE for message in said):
        return Continued()
    inputs = {name: value for prompt in prompts for name, value in (prompt.attributes.get("variables") or {}).items()}
    asked = [message["content"] for message in said if message["role"] == "user"]
    if len(asked) > 1:
        return Continued()
    if asked:
        inputs.setdefault(_INPUT, asked[0])
    calls = [{"name": name, "arguments": json_or_text(arguments)} for name, arguments in calls_of(call.attributes)]
    text = call.attributes.get("output")
    return Step(inputs, _answer(call, text_or_calls(text or "", calls) if calls else text)) if inputs else None


def _answer(span: Span, output: Any) -> Any:
    """Return the answer of a step as plain data, without the message or state around it; None if the step failed."""
    if span.error is not None or output is None:
        return None
    if isinstance(output, Mapping) and set(output) == {"role", "content"}:  # a message, as recordings keep it
        return content_of(output)
    with suppress(NotPlainData):
        return answer_data(output)
    return output
