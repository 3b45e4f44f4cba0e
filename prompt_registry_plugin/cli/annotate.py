"""The command that shows recorded runs one by one and takes down, key by key, what a person thinks of each."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click

from prompt_registry_plugin.cli.settings import json_option, open_existing, registry_option, say
from prompt_registry_plugin.errors import UserError

if TYPE_CHECKING:
    from prompt_registry_plugin.tracing.trace import Trace

_KEYS = "g good · b bad · c correct · f fact · s skip · u back · q quit"


@click.command()
@click.option("--name", help="Only recordings of this name.")
@click.option("--prompt", help="Only runs that rendered this prompt, or this version of it (prompts:/NAME/3).")
@click.option("--all", "every", is_flag=True, help="Also what was annotated before.")
@click.option("--dataset", metavar="NAME", help="At the end, add what was accepted or corrected to this data set.")
@click.option("--max", "limit", type=click.IntRange(1), default=100, show_default=True, help="At most so many runs, the newest.")
@json_option
@registry_option
def annotate(name: str | None, prompt: str | None, every: bool, dataset: str | None, limit: int, as_json: bool) -> None:
    """Go through recorded runs with the keyboard: good, bad, or what the answer should have been."""
    from prompt_registry_plugin.datasets.dataset import Dataset
    from prompt_registry_plugin.datasets.examples import step_of
    from prompt_registry_plugin.errors import InvalidExample
    from prompt_registry_plugin.registry.functions import load_feedback, merge_records, search_traces
    from prompt_registry_plugin.uri import as_uri, check_name

    if dataset:
        check_name(dataset, "data set")
    if prompt and ("@" in prompt or prompt.rpartition("/")[2].isdigit()):
        prompt = as_uri(prompt)
    open_existing()
    found = search_traces(name=name, prompt=prompt, max_results=1_000_000)
    every_one = [trace for trace in found if step_of(trace) is not None]
    reviewed = {feedback.trace_id for feedback in load_feedback(every_one)}
    waiting = [trace for trace in every_one if every or trace.id not in reviewed][:limit]
    if waiting and not sys.stdin.isatty():
        raise UserError("annotate is worked with the keyboard and needs a terminal; from programs: log_feedback(trace_id, …)")
    done = _go_through(waiting, as_json) if waiting else {}
    unusable = len(found) - len(every_one)
    told: dict[str, Any] = {"annotated": len(done), "left": len(waiting) - len(done), "without_step": unusable}
    text = f"{len(done)} annotated, {len(waiting) - len(done)} left" if waiting else "there is nothing to annotate"
    if unusable:
        text += f"; left out, since their inputs are not known or continue a conversation: {unusable}"
    if dataset and (reviewed | done.keys()):
        try:
            kept = merge_records(dataset, Dataset.from_traces(every_one, only="reviewed"), commit_message="annotated")
            told |= {"dataset": kept.uri, "rows": len(kept)}
            text += f"; {kept.uri} has {len(kept)} rows"
        except InvalidExample:
            text += f"; nothing was accepted or corrected, so {dataset} stays as it is"
    say(text, told, as_json)


def _go_through(traces: list[Trace], as_json: bool) -> dict[str, str]:
    """What was noted, by trace. Each verdict is stored as its key is pressed, so that leaving loses nothing."""
    from prompt_registry_plugin.registry.functions import log_feedback

    done: dict[str, str] = {}
    i = 0
    while 0 <= i < len(traces):
        trace = traces[i]
        _show(trace, f"{i + 1} of {len(traces)}", done.get(trace.id), as_json)
        try:
            key = click.getchar().lower()
        except (KeyboardInterrupt, EOFError):  # Ctrl-C, Ctrl-D
            break
        if key in ("q", "\x1b"):
            break
        if key == "u":
            i = max(0, i - 1)
            continue
        if key in ("g", "b"):
            log_feedback(trace.id, key == "g")
            done[trace.id] = "good" if key == "g" else "bad"
        elif key in ("c", "f"):
            try:
                expectations = _ask_for_correction(trace) if key == "c" else _fact()
            except click.ClickException as error:  # the editor's fault
                click.pause(f"{error.message}; EDITOR names another. Any key goes on")
                continue
            except click.Abort:
                continue
            if expectations is None:
                continue
            log_feedback(trace.id, False if key == "c" else None, expectations=expectations)
            done[trace.id] = "corrected"
        elif key != "s":
            continue
        i += 1
    return done


def _ask_for_correction(trace: Trace) -> dict[str, Any] | None:
    """What the answer should have been, from an editor; None when nothing was changed."""
    from prompt_registry_plugin.datasets.examples import step_of

    output = (step_of(trace) or ({}, None))[1]
    before = output if isinstance(output, str) else json.dumps(output, ensure_ascii=False, indent=2)
    after = click.edit(before, require_save=True)
    if after is None or after.strip() == before.strip():
        return None
    return {"expected_response": after.rstrip("\n") if isinstance(output, str) or output is None else _parse(after)}


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text.rstrip("\n")


def _fact() -> dict[str, Any] | None:
    said = click.prompt("a fact that the answer has to state", default="", show_default=False)
    return {"expected_facts": [said]} if said.strip() else None


def _show(trace: Trace, place: str, said: str | None, as_json: bool) -> None:
    from rich.console import Group
    from rich.panel import Panel
    from rich.text import Text

    from prompt_registry_plugin.cli.display import SafeConsole, console
    from prompt_registry_plugin.datasets.examples import step_of

    inputs, output = step_of(trace) or ({}, None)
    parts = [Text.assemble((f"{name} ", "bold"), _plain(value)) for name, value in inputs.items()]
    parts += [Text(), Text(_plain(output), style="cyan") if output is not None else Text("it failed", style="red")]
    parts += [Text(span.error, style="red") for span in trace.spans if span.error]
    used = ", ".join(f"{use.name}/{use.version}" for use in trace.prompts if use.name)
    title = f"{place} · {trace.name}{f' · {used}' if used else ''}{f' · {said}' if said else ''}"
    terminal = SafeConsole(stderr=True) if as_json else console()  # what is printed to standard output is JSON then
    terminal.clear()
    terminal.print(Panel(Group(*parts), title=Text(title), title_align="left", subtitle=_KEYS))


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
