"""The command for working on a prompt without a web page."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import json_option, registry_option
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.uri import as_uri

if TYPE_CHECKING:
    from rich.console import RenderableType

    from prompt_registry_plugin.evaluation.playground import OnPiece, Trial


@click.command("try")
@click.argument("prompts", nargs=-1, required=True, metavar="PROMPT…")
@click.option(
    "--model", "models", multiple=True, help="Such as openai:gpt-…; may be repeated. Default: the prompt's model_config."
)
@click.option(
    "--input", "said", metavar="TEXT", help="The user's message; @FILE reads a file. The prompt is then the system message."
)
@click.option("--set", "values", multiple=True, metavar="NAME=VALUE", help="A variable's value; NAME=@FILE reads a file.")
@click.option("--temperature", type=click.FloatRange(0), help="As the model knows it.")
@click.option("--max-tokens", type=click.IntRange(1), help="How long an answer may be.")
@click.option("--save", is_flag=True, help="Keep inputs and answers as rows, which load_table() gives back.")
@json_option
@registry_option
def try_(
    prompts: tuple[str, ...],
    models: tuple[str, ...],
    said: str | None,
    values: tuple[str, ...],
    temperature: float | None,
    max_tokens: int | None,
    save: bool,
    as_json: bool,
) -> int:
    """Try prompt versions and models.

    Streams the answers side by side. With --input, a text prompt is sent as the system message, and TEXT as the user's. Without it, a text
    prompt is the user's message, except beside a value that is one: `--set question="…"`, if the prompt has no variable of that name.
    A prompt with a variable `input` gets TEXT there. Chat prompts are sent with their own roles.

    The prompt's settings, tools and response format are sent too; what a model does not take is listed.

    \b
      prompt-registry try support@production --model openai:gpt-… --input "Where is my card?"
    """
    from prompt_registry_plugin.cli.display import console, print_json
    from prompt_registry_plugin.evaluation.playground import try_prompts

    given = {"temperature": temperature, "max_tokens": max_tokens}
    params = {name: value for name, value in given.items() if value is not None}
    uris, given_values = [as_uri(prompt) for prompt in prompts], dict(map(_value, values))
    message = None if said is None else _text(said)
    labels = [
        f"{uri.removeprefix('prompts:/')}{f' · {mask_secrets(model)}' if model else ''}"
        for uri in uris
        for model in models or ("",)
    ]
    terminal = console()

    def run(on_piece: OnPiece | None = None) -> list[Trial]:
        return try_prompts(uris, given_values, models=models, params=params, input=message, save=save, on_piece=on_piece)

    with _notes_in_output():
        trials = run() if as_json or not terminal.is_terminal else _live(labels, run)
    with suppress(BrokenPipeError):  # the exit code says whether all models answered
        if as_json:
            print_json([
                {"prompt": t.prompt, "model": t.model, "simulated": t.simulated, "output": t.output, "seconds": t.seconds, "error": t.error,
                 "input_tokens": t.usage.input_tokens, "output_tokens": t.usage.output_tokens, "cost": t.cost, "trace_id": t.trace_id,
                 "answer": t.answer, "notes": list(t.notes)}
                for t in trials
            ])  # fmt: skip
        elif not terminal.is_terminal:
            for trial in trials:
                terminal.print(_panel(_title(trial), trial.output, trial))
        if not as_json:
            for note in dict.fromkeys(note for trial in trials for note in trial.notes):
                echo(note)
        if save and not as_json:
            echo(f"saved {len(trials)} rows: load_table() reads them, `prompt-registry annotate --name try` corrects them")
    return int(any(trial.error for trial in trials))


@contextmanager
def _notes_in_output() -> Iterator[None]:
    """A block in which settings that are left out are not logged: they are part of the output."""
    logger = logging.getLogger("prompt_registry_plugin.models.settings")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(level)


def _value(said: str) -> tuple[str, str]:
    name, equals, value = said.partition("=")
    if not equals or not name:
        raise UserError(f"cannot read --set {said!r}: write NAME=VALUE, or NAME=@FILE")
    return name, _text(value)


def _text(value: str) -> str:
    """A value as it is, or what the file holds that `@FILE` names."""
    if not value.startswith("@"):
        return value
    try:
        return Path(value[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {value[1:]}: {error}") from error


def _live(labels: Sequence[str], run: Callable[[OnPiece], list[Trial]]) -> list[Trial]:
    """Runs the trials while their answers grow side by side on the terminal."""
    from rich.live import Live

    from prompt_registry_plugin.cli.display import console

    answers: list[str] = [""] * len(labels)
    trials: list[Trial] = []

    def render_answers() -> RenderableType:
        if trials:
            return _side_by_side([_panel(_title(trial), trial.output, trial) for trial in trials])
        return _side_by_side([_panel(label, answer) for label, answer in zip(labels, answers, strict=True)])

    def on_piece(number: int, piece: str) -> None:
        answers[number] += piece

    with Live(console=console(), refresh_per_second=12, get_renderable=render_answers):
        trials += run(on_piece)
    return trials


def _side_by_side(panels: Sequence[RenderableType]) -> RenderableType:
    from rich.table import Table

    grid = Table.grid(expand=True)
    for _ in panels:
        grid.add_column(ratio=1)
    grid.add_row(*panels)
    return grid


def _panel(title: str, answer: str, trial: Trial | None = None) -> RenderableType:
    from rich.panel import Panel
    from rich.text import Text

    text = Text(answer)
    if trial is not None and trial.error:
        text.append("\n" if answer else "").append(trial.error, style="red")
    took = None
    if trial is not None:
        cost = "" if trial.cost is None else f" · ${trial.cost:.6f}"
        took = f"{trial.seconds:.2f} s · {trial.usage.input_tokens} → {trial.usage.output_tokens} tokens{cost}"
    return Panel(text, title=Text(title), title_align="left", subtitle=took, subtitle_align="right")


def _title(trial: Trial) -> str:
    return f"{trial.prompt.removeprefix('prompts:/')} · {trial.model}{' (simulated)' if trial.simulated else ''}"
