"""How things look in a terminal: tables, word-level diffs, trace trees."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import click
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, Group, RenderableType
from rich.panel import Panel
from rich.segment import Segment
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from prompt_registry_plugin.cli.echo import json_text
from prompt_registry_plugin.cli.trace_view import trace_tree as trace_tree
from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.evaluation.word_diff import word_changes
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.masking.controls import control_places, visible
from prompt_registry_plugin.optimize.report import RunReport
from prompt_registry_plugin.prompts.messages import readable_text
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import CoverageRow
from prompt_registry_plugin.transfer.formats.prompt_file import to_text

_STATES = {"winner": "bold green", "checkpoint": "green", "committed": "green", "accepted": "cyan", "rejected": "red"}
_WHOLE = 48  # cells up to which a name is never folded


def console(at_least: int = 0) -> Console:
    """A console on standard output; where that is no terminal, `at_least` so many columns wide."""
    made = SafeConsole(highlight=False)
    return made if made.is_terminal or made.width >= at_least else SafeConsole(highlight=False, width=at_least)


class SafeConsole(Console):
    """A console that makes control characters visible in whatever it prints."""

    def on_broken_pipe(self) -> None:
        """Raise the `BrokenPipeError` again: what a command does without a reader is decided in one place."""
        raise  # rich calls this while it handles the error

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Return the segments of what is printed. Those that move the cursor are rich's own."""
        if isinstance(renderable, Text):
            renderable = _visible_text(renderable)
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(visible(segment.text), segment.style)


def print_paged(*shown: RenderableType, width: int = 100) -> None:
    """Print, through the pager if standard output is a terminal that is not high enough. `width` is for what is no terminal."""
    terminal = console(width)
    if not (terminal.is_terminal and sys.stdin.isatty()):
        terminal.print(*shown, sep="\n")
        return
    with terminal.capture() as captured:
        terminal.print(*shown, sep="\n")
    text = captured.get()
    if text.count("\n") < terminal.height:
        click.echo(text, nl=False, color=not terminal.no_color)
    else:
        click.echo_via_pager(text, color=not terminal.no_color)


def _visible_text(text: Text) -> Text:
    """Return a text with its control characters visible, each in the style that it had."""
    places = control_places(text.plain)
    if not places:
        return text
    shown = text.blank_copy()
    for piece in text.divide(sorted({cut for place in places for cut in (place, place + 1)})):
        piece.plain = visible(piece.plain)
        shown.append_text(piece)
    return shown


def print_json(value: Any) -> None:
    """Prints JSON, dates as ISO texts."""
    click.echo(json_text(value, indent=2))


def print_table(headings: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None) -> None:
    """Prints a table; cells are never read as markup."""
    console().print(make_table(headings, rows, title))


def make_table(headings: Sequence[str], rows: Iterable[Sequence[str]], title: str | None = None, *, whole: int = 1) -> Table:
    """A table of plain texts."""
    table = Table(title=None if title is None else Text(visible(title)), title_justify="left")
    cells = [[visible(cell) for cell in row] for row in rows]
    for i, heading in enumerate(headings):
        # What a row is about stays in one piece, to be copied, as long as it leaves room for the other columns.
        longest = max((cell_len(row[i]) for row in cells), default=0) if i < whole else 0
        table.add_column(heading, min_width=longest if longest <= _WHOLE else None, overflow="fold")
    for row in cells:
        table.add_row(*map(Text, row))
    return table


def _state(row: CoverageRow) -> str:
    return f"served: {row.detail}" if row.state == "served" else row.state


def print_coverage(rows: Sequence[CoverageRow], title: str | None = None) -> None:
    """Print a coverage table; the width of a pipe does not fold it."""
    cells = [
        (row.name or "(none)", _state(row), row.place, row.role, ", ".join(row.variables), row.source, row.words) for row in rows
    ]
    console(160).print(make_table(("prompt", "state", "place", "kind", "variables", "source", "text"), cells, title, whole=2))
    for row in rows:
        if row.detail and row.state not in ("served", "no prompt"):
            console(160).print(Text(f"{row.name or row.place}: {row.detail}"), soft_wrap=True)


def word_diff(old: str, new: str, *, marked: bool | None = None) -> Text:
    """`new` with its additions in green, and what was removed from `old` struck through in red.

    Where colours are lost (a pipe, a log, `NO_COLOR`) it reads `[-removed-]{+added+}`; `marked` says so rather than the terminal.
    """
    if marked is None:
        terminal = console()
        marked = terminal.no_color or not terminal.is_terminal
    text = Text()
    for kind, removed, added in word_changes(old, new):
        if kind == "equal":
            text.append(added)
            continue
        text.append(f"[-{removed}-]" if marked and removed else removed, style="red strike")
        text.append(f"{{+{added}+}}" if marked and added else added, style="green")
    return text


def diff_panel(old: PromptVersion, new: PromptVersion) -> Panel:
    """A word-level diff of two versions of a prompt."""
    after = str(new.version) if new.name == old.name else f"{new.name}, version {new.version}"
    title = f"{old.name}: version {old.version} → {after}"
    return Panel(word_diff(*diff_texts(old, new)), title=Text(title), title_align="left")


def diff_texts(old: PromptVersion, new: PromptVersion) -> tuple[str, str]:
    """What is compared of two versions: their texts, or, where more than these differs, the files that they would be."""
    settings = ("template_format", "variable_schemas", "response_format", "model_config", "tools")
    if any(getattr(old, name) != getattr(new, name) for name in settings):
        return to_text(old), to_text(new)
    return template_text(old), template_text(new)


def three_way_panel(name: str, base: str | None, theirs: str | None, ours: str | None) -> Panel:
    """What the registry and what the file made of a common past, one below the other; without one, how the two differ."""
    if base is None:
        parts = [Text("registry → file", style="bold"), word_diff(theirs or "", ours or "")]
    else:
        parts = [Text("in the registry", style="bold"), word_diff(base, theirs or ""), Text()]
        parts += [Text("in the file", style="bold"), word_diff(base, ours or "")]
    return Panel(Group(*parts), title=Text(f"{name}: conflict"), title_align="left")


def version_panel(version: PromptVersion) -> Panel:
    """A version with its text and what is known about it."""
    facts = [
        ("aliases", ", ".join(version.aliases)),
        ("variables", ", ".join(_variable_text(name, version) for name in variables_of(version))),
        ("format", version.template_format if version.template_format != "double_brace" else ""),
        ("includes", ", ".join(version.includes)),
        ("model", _short_json(version.model_config)),
        ("response", _short_json(version.response_format)),
        ("tools", _short_json(version.tools)),
        ("created", f"{version.created_at:%Y-%m-%d %H:%M} by {version.created_by}"),
        ("message", version.commit_message or ""),
        ("parent", str(version.parent or "")),
        ("run", version.run_id or ""),
        ("tags", ", ".join(f"{key}={value}" for key, value in version.tags.items())),
    ]
    head = Text("\n").join(Text.assemble((f"{name}: ", "dim"), value) for name, value in facts if value)
    return Panel(Group(Text(template_text(version)), Text(), head), title=Text(version.uri), title_align="left")


def variables_of(version: PromptVersion) -> list[str]:
    """The names of a version's variables; none where it cannot be compiled as it is written, with includes in it."""
    try:
        return sorted(version.variables)
    except InvalidTemplate:
        return []


def _variable_text(name: str, version: PromptVersion) -> str:
    schema = version.variable_schemas.get(name)
    return name if schema is None else f"{name} {_short_json(schema)}"


def _short_json(value: Any) -> str:
    return "" if value is None else _short(json.dumps(value, ensure_ascii=False))


def template_text(version: PromptVersion) -> str:
    """The template as one readable text."""
    if isinstance(version.template, str):
        return version.template
    lines = []
    for message in version.template:
        if message.get("type") == "placeholder":
            lines.append(f"[placeholder] {message['name']}")
        else:
            lines.append(readable_text([message]))
    return "\n".join(lines)


def run_tree(report: RunReport, *, edits: bool) -> Tree:
    """A run's candidates, each under the one it came from; with `edits`, what each changed and the failures that caused it."""
    tree = Tree(Text(f"run {report.run.id}", style="bold"))
    nodes: list[Tree] = [tree]
    for depth, step in report.walk():
        state = step.record.status
        said = Text.assemble((f"{state} ", _STATES.get(state, "")), step.reason, (f"  {step.record.candidate.id[:8]}", "dim"))
        parts: list[RenderableType] = [said]
        for key, (before, after) in step.changes.items() if edits else ():
            parts += [Text(key, style="dim"), word_diff(before, after)]
        for cause in step.causes if edits else ():
            parts.append(Text(f"because of {_short(cause.inputs)}: {_short('; '.join(cause.wrong))}", style="dim"))
        del nodes[depth + 1 :]
        nodes.append(nodes[depth].add(Group(*parts)))
    return tree


def _short(text: str) -> str:
    text = mask_secrets(" ".join(text.split()))
    return text if len(text) <= 120 else text[:119] + "…"
