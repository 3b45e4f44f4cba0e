"""A trace made ready for reading: steps that only frameworks care for are folded, and each model call knows what is new in it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.records import Span
from prompt_registry_plugin.tracing.calls import calls_of
from prompt_registry_plugin.tracing.trace import Trace

# Steps of LangChain and LangGraph that carry no information of their own, as `RunnableParallel<a,b>` or `ChannelWrite<...>`.
_NOISE = re.compile(
    r"(Runnable(Sequence|Parallel|Lambda|Passthrough|Assign|Branch|Each|Binding|Generator|Pick|Callable|WithFallbacks|Retry)\b"
    r"|Channel(Write|Read)\b|Branch<|_write\b|__start__$|\w*OutputParser$|(Chat)?PromptTemplate$|coerce_to_\w+$|should_continue$)"
)

_AGENT_NODES = ("model", "tools", "agent")  # what LangChain's own agents call the nodes around a model and around tools
_MAX_MESSAGES = 6  # new messages of one call that are shown: the first, and the last ones


@dataclass(slots=True)
class Node:
    """One shown step."""

    span: Span
    children: list[Node] = field(default_factory=list)
    path: tuple[str, ...] = ()
    """Names of steps that contained only this one, outermost first."""
    turn: int = 0
    """The turn of the conversation that begins here; 0 if none does, or there is only one."""
    messages: list[Mapping[str, Any]] = field(default_factory=list)
    """Of a model call: the messages that no earlier call was given, in order, without those that a shown prompt stands for."""
    is_turn: bool = False
    """Of a model call: whether a user says something that is new in this trace."""
    hidden: int = 0
    """Of a model call: messages that are left out."""
    calls: list[tuple[str, Any]] = field(default_factory=list)
    """Of a model call: the calls of tools that no tool's step shows, as (name, arguments)."""
    shows_error: bool = False
    """Whether the error belongs here: no step inside has the same one."""

    def walk(self) -> Iterator[Node]:
        """Yield this node and those inside, parents first."""
        yield self
        for child in self.children:
            yield from child.walk()


@dataclass(frozen=True, slots=True)
class Outline:
    """The steps of a trace as they are shown."""

    roots: Sequence[Node]
    """The outermost steps."""
    folded: int
    """How many steps are left out."""


def outline(trace: Trace, *, full: bool = False) -> Outline:
    """Return the steps of a trace; with `full`, all of them, and every message of every model call."""
    nodes: list[Node] = []
    open_nodes: list[Node] = []
    folded = 0
    with_children = {span.parent_id for span in trace.spans}
    for depth, span in trace.walk():
        del open_nodes[depth:]
        node = Node(span)
        (open_nodes[-1].children if open_nodes else nodes).append(node)
        open_nodes.append(node)
    if not full:
        nodes, folded = _fold(nodes, with_children)
        nodes = [_merge(node) for node in nodes]
    every = [node for root in nodes for node in root.walk()]
    for node in every:
        node.shows_error = full or not any(
            inner.span.error == node.span.error for child in node.children for inner in child.walk()
        )
    _fill_calls(every, full)
    _fill_messages(every, {span.id: span for span in trace.spans}, full)
    _number_turns(nodes)
    return Outline(nodes, folded)


def _fold(nodes: Sequence[Node], with_children: set[str | None]) -> tuple[list[Node], int]:
    """Return the nodes without noise, whose children take its place, and the number of nodes that were left out."""
    kept: list[Node] = []
    folded = 0
    for node in nodes:
        children, inside = _fold(node.children, with_children)
        folded += inside
        failed_here = node.span.error is not None and not any(n.span.error for child in children for n in child.walk())
        if (
            node.span.kind == "chain"
            and _NOISE.match(node.span.name)
            and not failed_here
            and "output" not in node.span.attributes
        ):
            kept += children
            folded += 1
        else:
            node.children = children
            kept.append(node)
    return kept, folded


def _merge(node: Node) -> Node:
    """Return a node, or the only one inside of it: a graph's node with one model call in it is one step."""
    node.children = [_merge(child) for child in node.children]
    span = node.span
    # What `@trace` and other steps of the user's own record has an `output`: their inputs are shown.
    if span.kind != "chain" or "output" in span.attributes or len(node.children) != 1 or span.error is not None:
        return node
    child = node.children[0]
    if child.span.kind == "prompt":
        return node
    if span.name not in _AGENT_NODES:
        child.path = (span.name, *child.path)
    return child


def _fill_calls(nodes: Sequence[Node], full: bool) -> None:
    """Give each model call the calls that it asked for, without those that a later step shows."""
    tools = [node for node in nodes if node.span.kind == "tool" or is_handoff(node.span)]
    for node in nodes:
        if node.span.kind != "llm":
            continue
        for name, arguments in calls_of(node.span.attributes):
            shown = next((tool for tool in tools if _is_call_of(tool.span, name, node.span)), None)
            if shown is not None and not full:
                tools.remove(shown)
                if not (shown.span.attributes.get("inputs") or is_handoff(shown.span)):
                    shown.calls = [(name, arguments)]  # a tool of an earlier version of an adapter, which did not keep its input
            else:
                node.calls.append((name, arguments))


def _is_call_of(tool: Span, name: str, model: Span) -> bool:
    if tool.started_at < model.started_at:
        return False
    return tool.name == name or (is_handoff(tool) and name.startswith(("transfer_to_", "handoff")))


def is_handoff(span: Span) -> bool:
    """Return whether a step hands over to another agent."""
    return span.kind == "chain" and (span.name == "handoff" or "handoff_to" in span.attributes)


def _fill_messages(nodes: Sequence[Node], spans: Mapping[str, Span], full: bool) -> None:
    """Give each model call the messages that are new in it."""
    steps = [node.span for node in nodes if node.span.kind == "tool" or is_handoff(node.span)]
    before: list[tuple[list[Mapping[str, Any]], Span]] = []
    said: set[str] = set()
    for node in sorted((node for node in nodes if node.span.kind == "llm"), key=lambda node: node.span.started_at):
        attributes = node.span.attributes
        given = [message for message in listed(attributes, "messages") if isinstance(message, Mapping)]
        known, last = max(
            ((_common(given, earlier), span) for earlier, span in before), key=lambda found: found[0], default=(0, node.span)
        )
        before.append((given, node.span))
        has_steps = any(last.started_at <= step.started_at <= node.span.started_at for step in steps)
        asked = [str(message.get("content")) for message in given[known:] if message.get("role") == "user"]
        node.is_turn = bool(asked) and (known > 1 or not said.issuperset(asked))
        said.update(asked)
        if full:
            node.messages = given
            continue
        shown_by_prompts = {
            text.strip()
            for prompt_id in listed(attributes, "prompts")
            if isinstance(prompt_id, str) and prompt_id in spans
            for text in listed(spans[prompt_id].attributes, "texts")
            if isinstance(text, str)
        }
        new = [
            message
            for message in given[known:]
            if str(message.get("content") or "").strip() not in shown_by_prompts
            and not (
                known and (message.get("role") == "assistant" or (message.get("role") == "tool" and has_steps))
            )  # shown before
        ]
        node.messages = [message for message in new if str(message.get("content") or "").strip()]
        if len(node.messages) > _MAX_MESSAGES:
            node.hidden = len(node.messages) - _MAX_MESSAGES
            node.messages = [node.messages[0], *node.messages[-_MAX_MESSAGES + 1 :]]


def listed(attributes: Mapping[str, Any], key: str) -> Sequence[Any]:
    """Return a list among the attributes of a span; an empty one if something else was stored."""
    value = attributes.get(key)
    return value if isinstance(value, list | tuple) else ()


def _common(messages: Sequence[Mapping[str, Any]], others: Sequence[Mapping[str, Any]]) -> int:
    """Return how many messages two lists begin with alike."""
    count = 0
    for message, other in zip(messages, others, strict=False):
        if (message.get("role"), message.get("content")) != (other.get("role"), other.get("content")):
            break
        count += 1
    return count


def _number_turns(roots: Sequence[Node]) -> None:
    """Number the outermost steps in which a user says something new, if there are several, as in a conversation."""
    first_calls = ((root, next((node for node in root.walk() if node.span.kind == "llm"), None)) for root in roots)
    speaking = [root for root, first in first_calls if first is not None and first.is_turn]
    for number, root in enumerate(speaking, 1):
        root.turn = number if len(speaking) > 1 else 0
