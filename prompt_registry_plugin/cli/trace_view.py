"""A trace as a tree for people: what models were sent and answered, tools with arguments and results, handoffs and turns."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from rich.text import Text
from rich.tree import Tree

from prompt_registry_plugin.cli.trace_nodes import Node, is_handoff, listed, outline
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.records import CoverageRow, Span
from prompt_registry_plugin.tracing.calls import call_text
from prompt_registry_plugin.tracing.trace import Trace

_COLORS = {"prompt": "magenta", "llm": "cyan", "tool": "yellow", "agent": "blue", "chain": "white"}
_SHORT = 160  # characters of a shown text
_MAX_ROWS = 8  # prompts that are listed below a tree


@dataclass(frozen=True, slots=True)
class View:
    """How much of a trace is shown."""

    full: bool = False
    """Every step, message and text, whole."""
    prompts: bool = False
    """The texts of prompts, whole."""
    width: int = 100
    """Columns of the terminal."""

    def shorten(self, value: Any, *, whole: bool = False) -> str:
        """Return a value as one masked line, shortened; whole, with its line breaks, if asked for."""
        text = mask_secrets(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))
        if self.full or whole:
            return text
        text = " ".join(text.split())
        limit = min(_SHORT, 3 * self.width)
        return text if len(text) <= limit else text[: limit - 1] + "…"


def trace_tree(trace: Trace, view: View | None = None) -> Tree:
    """Return a trace as a tree: prompts with version and variables, model calls with what is new in them, tools with results."""
    view = view or View()
    shown = outline(trace, full=view.full)
    head = Text(f"trace {trace.name}", style="bold")
    head.append("".join(f"  {fact}" for fact in facts_of(trace)), style="dim")
    if trace.error and not any(node.shows_error and node.span.error for root in shown.roots for node in root.walk()):
        head.append(f"\n{view.shorten(trace.error)}", style="red")
    tree = Tree(head)
    known = {span.id: span for span in trace.spans}
    for root in shown.roots:
        _add(tree, root, known, view)
    if not trace.spans:
        tree.add(Text("nothing was recorded in the block; a stream that it returns has to be read inside", style="yellow"))
    if shown.folded:
        steps = "step" if shown.folded == 1 else "steps"
        tree.add(Text(f"{shown.folded} {steps} of the framework not shown: --full", style="dim"))
    return tree


def facts_of(trace: Trace) -> list[str]:
    """Return what is known about a trace as a whole, each as a few words."""
    usage = trace.usage
    costs = [span.attributes["cost"] for span in trace.spans if span.attributes.get("cost") is not None]
    facts = [trace.id[:8], f"{datetime.fromtimestamp(trace.started_at, UTC):%Y-%m-%d %H:%M:%S} UTC", f"{trace.seconds:.2f} s"]
    if usage.calls:
        facts.append(f"{usage.calls} model call{'' if usage.calls == 1 else 's'}")
    if usage.input_tokens or usage.output_tokens:
        facts.append(f"{usage.input_tokens} → {usage.output_tokens} tokens")
    if costs:
        facts.append(f"${sum(costs):.6f}")
    return facts


def _add(tree: Tree, node: Node, known: Mapping[str, Span], view: View) -> None:
    branch = tree.add(_node_text(node, known, view))
    for child in node.children:
        _add(branch, child, known, view)


def _node_text(node: Node, known: Mapping[str, Span], view: View) -> Text:
    span = node.span
    text = Text()
    if node.turn:
        text.append(f"turn {node.turn}  ", style="bold green")
    if node.path:
        text.append(" › ".join(node.path) + " › ")
    if span.kind == "tool":
        _add_tool(text, node, view)
    elif is_handoff(span):
        to = span.attributes.get("handoff_to")
        text.append(f"handoff{f' → {to}' if to else ''}", style="bold yellow").append(_milliseconds(span), style="dim")
    else:
        text.append(f"{span.kind} ", style=_COLORS[span.kind]).append(span.name, style="bold")
        if span.kind == "prompt":
            _add_prompt(text, span, view)
        else:
            text.append(_milliseconds(span), style="dim")
            (_add_model if span.kind == "llm" else _add_values)(text, node, known, view)
    if span.error and node.shows_error:
        text.append(f"\n{view.shorten(span.error)}", style="red")
    _add_outcome(text, span, view)
    return text


def _add_outcome(text: Text, span: Span, view: View) -> None:
    """Add how a span ended that has neither failed nor gone as usual."""
    if asked := span.attributes.get("interrupt"):
        text.append(f"\ninterrupted, asks: {view.shorten('; '.join(map(str, asked)))}", style="yellow")
    if recovered := span.attributes.get("recovered"):
        text.append(f"\nrecovered from {view.shorten(recovered)}", style="dim")
    if span.attributes.get("unfinished"):
        text.append("\nstill running when the recording ended", style="yellow")
    if span.attributes.get("cancelled"):
        text.append("\ncancelled", style="dim")


def _add_prompt(text: Text, span: Span, view: View) -> None:
    a = span.attributes
    whole = view.prompts
    if a.get("prompt") is not None:
        version = f"candidate {a['candidate']}" if a.get("candidate") else f"version {a.get('version')}"
        text.append(f"  {version}", style="green")
    variables = a.get("variables")
    for name, value in variables.items() if isinstance(variables, Mapping) else ():
        text.append(f"\n{name} = ", style="dim").append(view.shorten(str(value)))
    text.append(f"\n{view.shorten(a.get('text') or '', whole=whole)}", style="italic")


def _add_model(text: Text, node: Node, known: Mapping[str, Span], view: View) -> None:
    a = node.span.attributes
    tokens = a.get("input_tokens") or 0, a.get("output_tokens") or 0
    if any(tokens):
        text.append(f"  {tokens[0]} → {tokens[1]} tokens", style="dim")
    if a.get("cost") is not None:
        text.append(f"  ${a['cost']:.6f}", style="dim")
    shown = [known[prompt_id] for prompt_id in listed(a, "prompts") if isinstance(prompt_id, str) and prompt_id in known]
    if shown:
        text.append(f"  {', '.join(_which(prompt) for prompt in shown)}", style="green")
    for number, message in enumerate(node.messages):
        if node.hidden and number == 1:
            text.append(f"\n… {node.hidden} more messages: --full", style="dim")
        content = view.shorten(message.get("content") or "")
        text.append(f"\n{message.get('role') or 'message'}: ", style="dim").append(content)
    if view.full:
        descriptions = a.get("descriptions")
        for key, description in descriptions.items() if isinstance(descriptions, Mapping) else ():
            text.append(f"\n{key}: ", style="dim").append(view.shorten(str(description)))
    if output := a.get("output"):
        text.append(f"\n{view.shorten(output)}", style="cyan")
    for name, arguments in node.calls:
        text.append(f"\n{view.shorten(call_text(name, arguments, None if view.full else 60))}", style="yellow")


def _add_tool(text: Text, node: Node, view: View) -> None:
    a = node.span.attributes
    arguments = node.calls[0][1] if node.calls else _arguments(a.get("inputs"))
    text.append(view.shorten(call_text(node.span.name, arguments, None if view.full else 60)), style="yellow")
    text.append(_milliseconds(node.span), style="dim")
    result = a.get("outputs", a.get("output"))
    if result not in (None, "", {}, []):
        text.append("\n← ", style="dim").append(view.shorten(_content(result)))


def _add_values(text: Text, node: Node, known: Mapping[str, Span], view: View) -> None:
    """Add the inputs and the output of a step of the user's own, and of an outermost step that called no model."""
    a = node.span.attributes
    is_own = "output" in a or (node.shows_error and node.span.error is not None)
    calls_model = any(inner.span.kind == "llm" for inner in node.walk())
    if not (is_own or view.full or (node.span.parent_id not in known and not calls_model)):
        return
    inputs = a.get("inputs")
    if isinstance(inputs, Mapping):
        for name, value in inputs.items():
            text.append(f"\n{name} = ", style="dim").append(view.shorten(value))
    elif inputs:
        text.append(f"\n{view.shorten(_content(inputs))}")
    output = a.get("output", a.get("outputs"))
    if output is not None:
        text.append("\n← ", style="dim").append(view.shorten(_content(output)), style="cyan")


def _arguments(inputs: Any) -> Any:
    """Return a tool's arguments as data: LangChain tells handlers the text of a dictionary."""
    if isinstance(inputs, str) and inputs.startswith("{"):
        try:
            return ast.literal_eval(inputs)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return inputs
    return inputs


def _content(value: Any) -> Any:
    """Return the text of a message, and other values as they are."""
    return value["content"] if isinstance(value, Mapping) and set(value) >= {"role", "content"} else value


def _milliseconds(span: Span) -> str:
    return "  still running" if span.ended_at is None else f"  {span.seconds * 1000:.0f} ms"


def _which(prompt: Span) -> str:
    """Return the prompt that a model was shown, with its version or candidate."""
    a = prompt.attributes
    return prompt.name if a.get("prompt") is None else f"{a['prompt']}/{a.get('version') or a.get('candidate')}"


def prompt_lines(rows: Sequence[CoverageRow]) -> list[Text]:
    """Return the rows of a coverage table as one line each: state, prompt, and place; with a heading, if there are any."""
    lines = [Text("prompts (all about them: --prompts)", style="bold")] if rows else []
    for row in rows[:_MAX_ROWS]:
        state = f"served: {row.detail}" if row.state == "served" else row.state
        line = Text.assemble((f"{state}  ", "dim"), (row.name or "(none)", "magenta"))
        if row.place and row.place != row.name:
            line.append(f"  {row.place}", style="dim")
        lines.append(line)
    if len(rows) > _MAX_ROWS:
        lines.append(Text(f"… {len(rows) - _MAX_ROWS} more", style="dim"))
    return lines
