"""The command group: options that all commands share, and errors as one line instead of a traceback."""

from __future__ import annotations

import io
import logging
import sys
from pathlib import Path
from typing import Any

import click

from prompt_registry_plugin import __version__
from prompt_registry_plugin.cli.adopt import adopt
from prompt_registry_plugin.cli.annotate import annotate
from prompt_registry_plugin.cli.apply import apply
from prompt_registry_plugin.cli.archive import archive
from prompt_registry_plugin.cli.autoload import autoload
from prompt_registry_plugin.cli.backup import backup, restore
from prompt_registry_plugin.cli.completion import completion
from prompt_registry_plugin.cli.copy import copy
from prompt_registry_plugin.cli.datasets import datasets
from prompt_registry_plugin.cli.delete import delete
from prompt_registry_plugin.cli.diff import diff
from prompt_registry_plugin.cli.doctor import doctor
from prompt_registry_plugin.cli.echo import VisibleFormatter
from prompt_registry_plugin.cli.edit import edit
from prompt_registry_plugin.cli.ending import ending_with_the_reader, noticing_a_closed_pipe, tell, wants_json
from prompt_registry_plugin.cli.eval_ import evaluate_command
from prompt_registry_plugin.cli.export import export
from prompt_registry_plugin.cli.history import history
from prompt_registry_plugin.cli.import_ import import_
from prompt_registry_plugin.cli.init import init
from prompt_registry_plugin.cli.list_ import list_prompts
from prompt_registry_plugin.cli.new import new
from prompt_registry_plugin.cli.plugins import plugins
from prompt_registry_plugin.cli.promote import promote
from prompt_registry_plugin.cli.protect import protect
from prompt_registry_plugin.cli.pull import pull
from prompt_registry_plugin.cli.push import push
from prompt_registry_plugin.cli.rename import rename
from prompt_registry_plugin.cli.resolve import resolve
from prompt_registry_plugin.cli.rollback import rollback
from prompt_registry_plugin.cli.run_program import run
from prompt_registry_plugin.cli.runs import runs
from prompt_registry_plugin.cli.search import search
from prompt_registry_plugin.cli.serve_prompt import serve_prompt
from prompt_registry_plugin.cli.settings import registry_option
from prompt_registry_plugin.cli.show import show
from prompt_registry_plugin.cli.status import status
from prompt_registry_plugin.cli.tag import tag
from prompt_registry_plugin.cli.traces import traces
from prompt_registry_plugin.cli.try_ import try_
from prompt_registry_plugin.cli.unalias import unalias
from prompt_registry_plugin.errors import PromptRegistryError, UserError

_SERVERS = ("offline-model",)  # which a built-in plugin brings
_EXTRAS = {"rich": "cli", "jinja2": "jinja", "jsonschema": "schemas", "pydantic": "config"}  # packages by what installs them
_WHOLE = 200  # characters of a summary: no summary is cut off


class _Group(click.Group):
    """A group that also has the plugins' commands."""

    _extended = False

    def _extend(self) -> None:
        if not self._extended:
            self._extended = True
            from prompt_registry_plugin.plugins import default_plugin_manager

            default_plugin_manager().hook.prompt_registry_register_commands(cli=self)

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with noticing_a_closed_pipe():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with noticing_a_closed_pipe():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:
        self._extend()
        return sorted(self.commands)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the commands in groups; those of plugins stand last."""
        self._extend()
        grouped = {heading: [command.name or "" for command in group] for heading, group in GROUPS.items()}
        known = {name for names in grouped.values() for name in names}
        of_plugins = [name for name in sorted(self.commands) if name not in known]
        grouped["Servers"] += [name for name in of_plugins if name in _SERVERS]
        grouped["Plugins"] += [name for name in of_plugins if name not in _SERVERS]
        for heading, names in grouped.items():
            shown = [(name, self.commands[name].get_short_help_str(_WHOLE)) for name in names if not self.commands[name].hidden]
            with formatter.section(heading):
                formatter.write_dl(shown)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        self._extend()
        return super().get_command(ctx, cmd_name)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="prompt-registry")
@registry_option
def cli() -> None:
    """Versioned prompts: look at them, compare them, promote and roll back, and follow optimization runs."""


# The order of the help: what is asked for most stands first.
GROUPS: dict[str, tuple[click.Command, ...]] = {
    "Begin": (init, doctor, completion),
    "Prompts": (new, edit, list_prompts, search, show, diff, history, tag, rename, archive, delete),
    "Release": (promote, rollback, unalias, protect),
    "Agents": (run, autoload, adopt, status, traces, annotate, datasets),
    "Evaluate": (evaluate_command, try_, apply, runs),
    "Files": (pull, push, resolve, import_, export, copy, backup, restore),
    "Servers": (serve_prompt,),
    "Plugins": (plugins,),
}
COMMANDS = tuple(command for group in GROUPS.values() for command in group)
for command in COMMANDS:
    cli.add_command(command)


def main(arguments: list[str] | None = None) -> Any:
    """Runs a command line; exits with 2 on what the user can correct, with 1 on what went wrong, with 130 on Ctrl-C."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that cannot show a character must not end a command
    if str(Path.cwd()) not in sys.path:
        sys.path.append(
            str(Path.cwd())
        )  # behind all packages: functions of the project may import its modules when they are called
    if logging.lastResort is not None:  # where the program has no logging of its own
        logging.lastResort.setFormatter(VisibleFormatter())
    given = sys.argv[1:] if arguments is None else arguments
    with ending_with_the_reader():
        sys.exit(_run(given, wants_json(given)))


def _run(arguments: list[str], as_json: bool) -> int:
    """Return the exit code of a command line; print its error, if it fails."""
    try:
        code = cli.main(arguments, prog_name="prompt-registry", standalone_mode=False)
        return code if isinstance(code, int) else 0
    except click.ClickException as error:
        shown = io.StringIO()
        error.show(file=shown)
        tell(error.format_message(), type(error).__name__, as_json, shown.getvalue().rstrip("\n"))
        return 2
    except (click.Abort, KeyboardInterrupt) as stopped:
        tell("stopped", "KeyboardInterrupt", as_json, "stopped")
        return getattr(stopped.__cause__, "code", None) or getattr(stopped, "code", None) or 130
    except PromptRegistryError as error:
        tell(str(error), type(error).__name__, as_json)
        return 2 if isinstance(error, UserError) else 1
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get((error.name or "").partition(".")[0])
        if extra is None:
            raise
        tell(f"this command needs {error.name}: pip install 'prompt-registry-plugin[{extra}]'", "PluginError", as_json)
        return 2
