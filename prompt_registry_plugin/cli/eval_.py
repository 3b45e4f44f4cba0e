"""The command that measures, and fails a build when a gate is not passed."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import click

from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import adapters_of, json_option, registry_option, writable
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.uri import as_uri


@click.command("eval")
@click.option(
    "--target", required=True, help="Function, graph or agent: 'package.module:name', or 'folder/file.py:name' for a file."
)
@click.option("--data", required=True, help="A .jsonl, .csv or .parquet file of rows, or datasets:/NAME.")
@click.option(
    "--scorer", "scorers", multiple=True, required=True, help="A scorer's name, or 'package.module:name'; may be repeated."
)
@click.option(
    "--prompt",
    "prompts",
    multiple=True,
    help="A prompt URI to evaluate with; may be repeated. The gate is about the last.",
)
@click.option("--baseline", help="The prompt URI that the others are compared with.")
@click.option("--model", "models", multiple=True, help="Given to the target as `model`; may be repeated.")
@click.option("--gate", help='Such as "accuracy >= 0.8 and no regression": exits with 1 and the reason when it is not passed.')
@click.option("--html", type=click.Path(dir_okay=False), callback=writable, help="Write a page with every row.")
@click.option("--junit", type=click.Path(dir_okay=False), callback=writable, help="Write JUnit XML.")
@click.option("--cache", help="Keep rollouts under this name, and run none again that is kept: a stopped evaluation goes on.")
@click.option("--enable", "names", help="Adapters to enable, with commas; 'none' for none. Default: all that the target imports.")
@click.option("--concurrency", default=16, show_default=True, help="Rollouts at once.")
@json_option
@registry_option
def evaluate_command(
    target: str,
    data: str,
    scorers: tuple[str, ...],
    prompts: tuple[str, ...],
    baseline: str | None,
    models: tuple[str, ...],
    gate: str | None,
    html: str | None,
    junit: str | None,
    cache: str | None,
    names: str | None,
    concurrency: int,
    as_json: bool,
) -> int:
    """Compare prompt versions on a dataset.

    Enables the adapters of the frameworks that the target uses, as `run` does. Says first how a row becomes the call of the target. With
    --gate, exits with 1 if the gate fails.

    \b
      prompt-registry eval --target agent.py:answer --data rows.csv --scorer exact_match --prompt support/2
    """
    from prompt_registry_plugin.cli.display import console, make_table, print_json
    from prompt_registry_plugin.evaluation.compare import compare
    from prompt_registry_plugin.evaluation.gate import parse_gate
    from prompt_registry_plugin.evaluation.options import RunOptions
    from prompt_registry_plugin.evaluation.scoring import resolve_scorers
    from prompt_registry_plugin.plugins import default_plugin_manager

    variants = [as_uri(reference) for reference in (*([baseline] if baseline else []), *prompts)]
    if gate is not None and not gate.strip():
        raise UserError("the gate is empty, and would let everything pass; is a variable not set?")
    if baseline and not prompts:
        raise UserError("--baseline needs a --prompt to compare with it")
    if gate is not None:  # what is wrong with it is told before anything is spent
        with adapters_of(names):  # a scorer may be in the target's module
            known = [scorer.name for scorer in resolve_scorers(scorers, default_plugin_manager())]
        parse_gate(gate, known, max(1, len(variants)) * max(1, len(models)))
    try:
        with adapters_of(names):
            found = compare(
                predict_fn=target,
                data=data,
                scorers=scorers,
                prompts=variants,
                models=models,
                options=RunOptions(concurrency=concurrency, cache=cache),
            )
    except KeyboardInterrupt:
        if cache:
            echo(f"what was finished is kept as {cache!r}: the same command goes on from there", err=True)
        raise
    reasons = found.failures_of(gate) if gate else []
    for path, content in ((html, found.to_html), (junit, lambda: found.to_junit(gate))):
        if path is not None:
            Path(path).write_text(content(), encoding="utf-8")
    with suppress(BrokenPipeError):  # the gate decides, whether or not somebody reads the table to its end
        if as_json:
            print_json({**found.to_json(), "gate": gate, "reasons": reasons})
        else:
            wide = console(at_least=160)
            wide.print(make_table(found.columns, found.rows()))
            if matrix := found.matrix():
                wide.print(make_table(matrix[0], matrix[1:]))
            wide.print(found.note, style="dim")
    with suppress(BrokenPipeError):
        for reason in reasons:
            echo(f"gate not passed: {reason}", err=True)
        if gate and not reasons:
            echo(f"gate passed: {gate}", err=True)
    return 1 if reasons else 0
