"""The command that runs a program which does not know us, with the adapters on."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import click

from prompt_registry_plugin.cli.settings import json_option, registry_option
from prompt_registry_plugin.errors import UserError


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--enable", "names", help="Adapters to switch on, with commas; default: all whose framework is installed.")
@click.option("--record", is_flag=True, help="Record the run, and say which prompts it used.")
@click.option("--adopt", is_flag=True, help="Record the run, and adopt the hard-coded prompts that it used.")
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@json_option
@registry_option
def run(names: str | None, record: bool, adopt: bool, program: str, arguments: tuple[str, ...], as_json: bool) -> None:
    """Run a Python file, or a module as `-m module`, with its prompts served from the registry.

    The program needs no change and does not have to know of this package.
    """
    from prompt_registry_plugin.frameworks.lazy import enable_when_imported
    from prompt_registry_plugin.registry.current import current_registry

    path = Path(program)
    if program != "-m" and not path.is_file():
        raise UserError(f"there is no program {program}")
    if program == "-m" and not arguments:
        raise UserError("-m takes the name of a module")
    enable_when_imported([name.strip() for name in names.split(",")] if names and names != "all" else ())
    module = arguments[0] if program == "-m" else None
    sys.argv = [module, *arguments[1:]] if module else [program, *arguments]
    sys.path.insert(0, str(Path.cwd()) if module else str(path.resolve().parent))

    def go() -> None:
        if module:
            runpy.run_module(module, run_name="__main__", alter_sys=True)
        else:
            runpy.run_path(program, run_name="__main__")

    if not (record or adopt):
        go()
        return
    registry = current_registry()
    with registry.record(path.name if module is None else module) as trace:
        try:
            go()
        except SystemExit as stop:  # a program may end like that, and its prompts were rendered all the same
            if stop.code not in (None, 0):
                raise
    adopted = {version.name for version in registry.adopt(trace)} if adopt else set()
    _report(trace, adopted, as_json)


def _report(trace: object, adopted: set[str], as_json: bool) -> None:
    from prompt_registry_plugin.cli.display import print_json, print_table
    from prompt_registry_plugin.tracing.trace import Trace

    assert isinstance(trace, Trace)
    rows = [
        (
            use.name or use.proposed_name,
            f"version {use.version}"
            if use.name
            else "adopted"
            if use.proposed_name in adopted
            else use.unadoptable or "hard-coded",
            str(use.times),
        )
        for use in trace.prompts
    ]
    if as_json:
        print_json(
            {"trace": trace.id, "prompts": [{"name": name, "state": state, "times": times} for name, state, times in rows]}
        )
    else:
        print_table(("prompt", "is", "rendered"), rows, title=f"trace {trace.id}")
