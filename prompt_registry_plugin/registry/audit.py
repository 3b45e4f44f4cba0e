"""A built-in plugin that writes what changed in a registry to the standard log, at level INFO."""

from __future__ import annotations

import logging

from prompt_registry_plugin.hookspecs import hookimpl
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import AliasMove
from prompt_registry_plugin.tracing.trace import Trace

logger = logging.getLogger(__name__)


@hookimpl
def prompt_registry_version_registered(version: PromptVersion) -> None:
    """Logs a new version."""
    logger.info("registered %s", version.uri)


@hookimpl
def prompt_registry_alias_moved(move: AliasMove) -> None:
    """Logs a moved alias, with who moved it and why."""
    logger.info(
        "alias %s@%s: %s -> %s by %s (%s)",
        move.name, move.alias, move.from_version, move.to_version, move.moved_by, move.reason or "no reason given",
    )  # fmt: skip


@hookimpl
def prompt_registry_trace_finished(trace: Trace) -> None:
    """Logs the size of a finished trace."""
    logger.debug("trace %s (%s): %d spans", trace.id, trace.name, len(trace.spans))
