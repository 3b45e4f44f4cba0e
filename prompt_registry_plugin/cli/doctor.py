"""The command that says what is installed, enabled, reachable and stale, and what to do."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Literal

import click

from prompt_registry_plugin import __version__
from prompt_registry_plugin.cli.settings import json_option, registry_option

_KEYS = ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY")


@dataclass(frozen=True, slots=True)
class Check:
    """One line of the command's table."""

    what: str
    """What was looked at."""
    state: Literal["ok", "note", "problem"]
    """Whether it works; `note` is for what is simply not used."""
    found: str
    """What was found."""
    todo: str = ""
    """What to do about it."""


@click.command()
@json_option
@registry_option
def doctor(as_json: bool) -> None:
    """Check the installation, and say what to do.

    Looks at Python, the registry, the plugins, the frameworks that are installed, PROMPT_REGISTRY_ENABLE, keys, adopted prompts
    and interrupted runs. Changes nothing. Exits with 1 if something does not work.

    \b
      prompt-registry doctor
    """
    from prompt_registry_plugin.cli.display import print_json, print_table

    checks = [Check("prompt-registry-plugin", "ok", f"{__version__} on Python {platform.python_version()}")]
    for part in (_registry, _plugins, _frameworks, _enabling, _models, _runs):
        checks += part()
    with suppress(BrokenPipeError):  # the exit code says the same
        if as_json:
            print_json([asdict(check) for check in checks])
        else:
            print_table(("what", "state", "found", "what to do"), [(c.what, c.state, c.found, c.todo) for c in checks])
    if any(check.state == "problem" for check in checks):
        raise SystemExit(1)


def _registry() -> Iterator[Check]:
    from prompt_registry_plugin.errors import PromptRegistryError
    from prompt_registry_plugin.masking import mask_url
    from prompt_registry_plugin.registry.current import current_registry, current_url, registry_exists

    url = mask_url(current_url())
    if not registry_exists():
        todo = "prompt-registry init shop, or prompt-registry new NAME"
        yield Check("registry", "note", f"there is none at {url}", todo)
        return
    try:
        found = current_registry().search_prompts(max_results=10_000)
    except PromptRegistryError as error:
        yield Check("registry", "problem", str(error), f"is {url} right? PROMPT_REGISTRY_URL or --registry names another")
        return
    more = " or more" if found.token else ""
    yield Check("registry", "ok", f"{url}: prompts: {len(found)}{more}")


def _plugins() -> Iterator[Check]:
    from prompt_registry_plugin.plugins import default_plugin_manager

    for info in default_plugin_manager().infos:
        if info.skipped:
            yield Check(f"plugin {info.name}", "problem", f"skipped: {info.skipped}", "update or remove it")


def _frameworks() -> Iterator[Check]:
    from prompt_registry_plugin.frameworks.adapter import FrameworkAdapter
    from prompt_registry_plugin.frameworks.installed import installed_adapters

    for name, adapter in sorted(installed_adapters().items()):
        if not isinstance(adapter, FrameworkAdapter):
            yield Check(f"adapter {name}", "ok", "of a plugin")
        elif not adapter.framework.is_installed:
            extra = adapter.framework.extra
            todo = f"pip install 'prompt-registry-plugin[{extra}]'" if extra else f"pip install {adapter.framework.distribution}"
            yield Check(f"adapter {name}", "note", f"{adapter.framework.title} is not installed", todo)
        elif reason := adapter.framework.unsupported_reason():
            yield Check(f"adapter {name}", "problem", reason, "prompts by name work; hard-coded ones need a known version")
        else:
            yield Check(f"adapter {name}", "ok", f"{adapter.framework.title} is installed")


def _enabling() -> Iterator[Check]:
    from prompt_registry_plugin.errors import PluginError
    from prompt_registry_plugin.frameworks.autoload import find
    from prompt_registry_plugin.frameworks.installed import check_names, installed_adapters
    from prompt_registry_plugin.frameworks.lazy import asked_adapters

    names = asked_adapters()
    if names is None:
        yield Check(
            "PROMPT_REGISTRY_ENABLE", "note", "not set", "programs call pr.enable(), or are started by prompt-registry run"
        )
        return
    try:
        check_names(names, installed_adapters())
    except PluginError as error:
        yield Check("PROMPT_REGISTRY_ENABLE", "problem", str(error), "correct the variable")
        return
    if not find():
        todo = "prompt-registry autoload install"
        yield Check("PROMPT_REGISTRY_ENABLE", "problem", "set, but this environment does not look at it when Python starts", todo)
    else:
        yield Check("PROMPT_REGISTRY_ENABLE", "ok", ", ".join(names) or "all")


def _models() -> Iterator[Check]:
    keys = [key for key in _KEYS if os.environ.get(key)]
    if keys:
        yield Check("keys of models", "ok", ", ".join(keys) + (" is set" if len(keys) == 1 else " are set"))
    else:
        todo = "set OPENAI_API_KEY, or use ollama:NAME, or a simulated model: offline:task"
        yield Check("keys of models", "note", "none is set", todo)


def _runs() -> Iterator[Check]:
    from prompt_registry_plugin.errors import PromptRegistryError
    from prompt_registry_plugin.optimize.engine.state import state_of
    from prompt_registry_plugin.registry.current import current_registry, registry_exists

    if not registry_exists():
        return
    try:
        stopped = [run for run in current_registry().store.runs.newest() if state_of(run) in ("interrupted", "stopped")]
    except PromptRegistryError:  # an unreachable registry is told already; a store without runs has none
        return
    for run in stopped[:5]:
        yield Check(f"run {run.id}", "note", "was stopped before its end", f"prompt-registry runs resume {run.id}")
