"""A built-in plugin that logs the changes of a registry, at level INFO."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

from prompt_registry_plugin.hookspecs import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.prompts.version import PromptVersion
    from prompt_registry_plugin.records import AliasMove
    from prompt_registry_plugin.tracing.trace import Trace

logger = logging.getLogger(__name__)


@hookimpl
def prompt_registry_version_registered(version: PromptVersion) -> None:
    """Log a new version."""
    logger.info("registered %s", version.uri)


@hookimpl
def prompt_registry_alias_moved(move: AliasMove) -> None:
    """Log a moved alias, with who moved it and why."""
    logger.info(
        "alias %s@%s: %s -> %s by %s (%s)",
        move.name, move.alias, move.from_version, move.to_version, move.moved_by, move.reason or "no reason given",
    )  # fmt: skip


@hookimpl
def prompt_registry_trace_finished(trace: Trace) -> None:
    """Log the size of a finished trace, at level DEBUG."""
    logger.debug("trace %s (%s): %d spans", trace.id, trace.name, len(trace.spans))
