"""Draws the README's pictures from the demo's registry: run `make demo` first, then `python -m docs.pictures`."""

from __future__ import annotations

import re
from pathlib import Path

from rich.console import Console, RenderableType

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.display import diff_panel, trace_tree
from prompt_registry_plugin.tracing.trace import Trace

HERE = Path(__file__).parent


def draw(name: str, title: str, shown: RenderableType) -> None:
    """Writes one SVG. Fonts are the reader's own: the picture loads nothing from anywhere."""
    console = Console(record=True, width=100, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(shown)
    svg = console.export_svg(title=title)
    svg = re.sub(r"@font-face \{.*?\}\s*", "", svg, flags=re.S).replace("Fira Code, monospace", "monospace")
    (HERE / name).write_text("\n".join(line.rstrip() for line in svg.splitlines()) + "\n")


def main() -> None:
    with pr.open_registry("sqlite:///.demo/prompts.db") as registry, pr.use_registry(registry):
        connection = registry.store.traces._connection  # type: ignore[attr-defined]
        (first,) = connection.read("SELECT id FROM traces WHERE name = 'banking'")[0]
        trace = registry.store.traces.get(first)
        assert isinstance(trace, Trace)
        draw("trace.svg", "with pr.record() as trace: …", trace_tree(trace))
        old, new = pr.load_prompt("banking/route", 1), pr.load_prompt("banking/route", 2)
        draw("diff.svg", "prompt-registry diff banking/route/1 banking/route/2", diff_panel(old, new))


if __name__ == "__main__":
    main()
