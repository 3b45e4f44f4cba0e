"""The entry point; importing it does not import Google ADK."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin import hookimpl

if TYPE_CHECKING:
    from prompt_registry_plugin.protocols import Adapter, Target


@hookimpl
def prompt_registry_adapters() -> Sequence[Adapter]:
    """Return the Google ADK adapter."""
    from prompt_registry_adapters.google_adk.adapter import GoogleADKAdapter

    return [GoogleADKAdapter()]


@hookimpl
def prompt_registry_as_target(obj: Any) -> Target | None:
    """Return the target for an agent, a runner or an app."""
    if "google.adk.agents.base_agent" not in sys.modules:  # nobody can hold an agent before this was imported
        return None
    from prompt_registry_adapters.google_adk.target import as_target

    return as_target(obj)
