"""The command that runs a program which does not know us, with the adapters on."""

from __future__ import annotations

import runpy
import sys
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, NoReturn

import click

from prompt_registry_plugin.cli.coverage import show_coverage
from prompt_registry_plugin.cli.settings import json_option, registry_option, say
from prompt_registry_plugin.errors import PromptRegistryError, UserError

if TYPE_CHECKING:
    from prompt_registry_plugin.registry.registry import PromptRegistry
    from prompt_registry_plugin.tracing.trace import Trace

_OURS = (__file__, "<frozen runpy>", runpy.__file__)
"""Files whose frames stand above those of the program."""


@click.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.option("--enable", "names", help="Adapters to switch on, with commas; default: all whose framework is installed.")
@click.option("--record", is_flag=True, help="Record the run, and say which prompts it used.")
@click.option("--adopt", is_flag=True, help="Record the run, and adopt the hard-coded prompts that it used.")
@click.option("--descriptions", is_flag=True, help="With --adopt, adopt descriptions of tools, handoffs and outputs too.")
@click.argument("program", metavar="PROGRAM")
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@json_option
@registry_option
def run(
    names: str | None, record: bool, adopt: bool, descriptions: bool, program: str, arguments: tuple[str, ...], as_json: bool
) -> None:
    """Run a Python file, or a module as `-m module`, with its prompts served from the registry.

    The program does not need to import this package. With --record or --adopt, a table shows its prompts when it ends, also by Ctrl-C
    or an error. Running it again adopts prompts that are new.

    \b
      prompt-registry run --adopt agent.py
    """
    from prompt_registry_plugin.frameworks.lazy import enable_when_imported
    from prompt_registry_plugin.registry.current import current_registry
    from prompt_registry_plugin.tracing.recorder import set_descriptions_wanted

    path = Path(program)
    if program != "-m" and not path.is_file():
        raise UserError(f"there is no program {program}")
    if program == "-m" and not arguments:
        raise UserError("-m takes the name of a module")
    enable_when_imported([name.strip() for name in names.split(",")] if names and names != "all" else ())
    module = arguments[0] if program == "-m" else None
    sys.argv = [module, *arguments[1:]] if module else [program, *arguments]
    sys.path.insert(0, str(Path.cwd()) if module else str(path.resolve().parent))
    if module and find_spec(module.partition(".")[0]) is None:
        raise UserError(f"there is no module {module}")

    def go() -> None:
        try:
            if module:
                runpy.run_module(module, run_name="__main__", alter_sys=True)
            else:
                runpy.run_path(program, run_name="__main__")
        finally:
            _keep_as_main(module, path)

    if not (record or adopt):
        try:
            go()
        except Exception as error:  # noqa: BLE001  whatever the program raises
            _fail_as_alone(error)
        return
    registry = current_registry()
    set_descriptions_wanted(descriptions)
    ended: BaseException | None = None
    try:
        with registry.record(path.name if module is None else module) as trace:
            try:
                go()
            except SystemExit as stop:  # a program may end like that, which is no error of the recording
                ended = stop
    except BaseException as error:  # noqa: BLE001  Ctrl-C, end of input, any error: what was seen by then is kept
        ended = error
    finally:
        set_descriptions_wanted(False)
    _report(registry, trace, adopt, as_json)
    if ended is not None and not (isinstance(ended, SystemExit) and ended.code in (None, 0)):
        _fail_as_alone(ended)


def _fail_as_alone(error: BaseException) -> NoReturn:
    """End as Python does on an error of the program: with a traceback that has no frames of ours, and 1."""
    if isinstance(error, PromptRegistryError | click.ClickException) or not isinstance(error, Exception):
        raise error
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename in _OURS:
        trace = trace.tb_next
    sys.excepthook(type(error), error.with_traceback(trace), trace)
    raise SystemExit(1)


def _keep_as_main(module: str | None, path: Path) -> None:
    """Name the program's file as that of `__main__`: runpy puts ours back, and prompts are looked for in the program's source later."""
    spec = None if module is None else find_spec(module)
    if spec is not None and spec.submodule_search_locations is not None:
        spec = find_spec(f"{module}.__main__")
    main = ModuleType("__main__")
    main.__spec__ = spec
    main.__file__ = str(path.resolve()) if module is None else spec.origin if spec is not None else None
    sys.modules["__main__"] = main


def _report(registry: PromptRegistry, trace: Trace, adopt: bool, as_json: bool) -> None:
    """Store the trace, adopt its prompts if asked to, and show the coverage table."""
    registry.flush()
    rows = registry.coverage(trace)
    if not rows:
        say("No prompts and no model calls were recorded.", {"trace": trace.id, "prompts": []}, as_json)
        return
    if adopt:
        rows = registry.adopt(trace, taken="report").coverage
    show_coverage(trace.id, rows, as_json)
