"""How far an optimization run got, for readers, and how it is continued."""

from __future__ import annotations

from prompt_registry_plugin.concurrency import this_process
from prompt_registry_plugin.optimize.engine.heartbeat import is_running_elsewhere
from prompt_registry_plugin.optimize.engine.run_config import RunConfig
from prompt_registry_plugin.protocols import RunRecord
from prompt_registry_plugin.registry.current import DEFAULT_URL
from prompt_registry_plugin.registry.registry import PromptRegistry

UNFINISHED = ("stopped", "interrupted", "failed")
"""States from which an optimization run can be resumed."""


def state_of(run: RunRecord) -> str:
    """Return the state of a run: its stored status, or `stopped` if it counts as running and its process is gone."""
    is_gone = run.status == "running" and run.owner != this_process() and not is_running_elsewhere(run)
    return "stopped" if is_gone else run.status


def resume_command(run_id: str, registry: PromptRegistry) -> str:
    """Return the command that resumes a run of a registry."""
    place = "" if registry.url == DEFAULT_URL else f"--registry {registry.place} "
    return f"prompt-registry {place}runs resume {run_id}"


def resume_advice(run_id: str, config: RunConfig, registry: PromptRegistry) -> str:
    """Return how to resume a run, as a sentence, or why that cannot be done."""
    if parts := config.not_importable():
        return f"It cannot be resumed: its {parts}"
    return f"To resume: {resume_command(run_id, registry)}"
