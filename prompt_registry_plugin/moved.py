"""Where the modules of version 0.1.0 are now.

Databases hold references such as `prompt_registry_plugin.answering:PromptAgent{…}`, and programs import by such names. Both have to find
what they name after a module has moved. A module that moves again, or a name that changes in place, gets another entry here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

_PACKAGE = "prompt_registry_plugin"

# Old module -> where its names are now, most of them in the first. Some old modules are packages of the same name today.
_NEW_HOMES: dict[str, tuple[str, ...]] = {
    "adapting": ("frameworks.adapter", "frameworks.enabling", "frameworks.prompts"),
    "adoption": ("registry.adoption",),
    "answering": ("models.prompt_agent",),
    "api": ("registry.functions",),
    "attaching": ("frameworks.lazy",),
    "audit": ("registry.audit",),
    "background": ("recording.writer",),
    "cli.annotating": ("cli.annotate",),
    "cli.applying": ("cli.apply",),
    "cli.evaluating": ("cli.eval_",),
    "cli.files": ("cli.sync",),
    "cli.run": ("cli.run_program",),
    "cli.serving": ("cli.serve_prompt",),
    "cli.trying": ("cli.try_",),
    "comparison": ("evaluation.compare", "evaluation.gate", "evaluation.statistics"),
    "concurrency": ("concurrency", "forks"),
    "curation": ("datasets.dataset", "registry.functions"),
    "current": ("registry.current",),
    "datasets": ("datasets.examples",),
    "drafts": ("registry.validation",),
    "evaluation": ("evaluation.evaluate",),
    "filters": ("store.filters",),
    "formats": ("transfer.formats",),
    "formats.dotprompt": ("transfer.formats.dotprompt",),
    "formats.langfuse": ("transfer.formats.langfuse",),
    "formats.langsmith": ("transfer.formats.langsmith",),
    "formats.mlflow": ("transfer.formats.mlflow",),
    "formats.openai": ("transfer.formats.openai",),
    "formats.plugin": ("transfer.formats.plugin",),
    "formats.promptfoo": ("transfer.formats.promptfoo",),
    "formats.prompty": ("transfer.formats.prompty",),
    "formats.reading": ("transfer.formats.reading",),
    "keeping": ("evaluation.cache",),
    "loading": ("registry.loader",),
    "optimize.bridge": ("optimize.optimizers.bridge",),
    "optimize.budget": ("optimize.engine.budget",),
    "optimize.commit_queue": ("optimize.optimizers.commit_queue.search",),
    "optimize.components": ("optimize.engine.components",),
    "optimize.constraints": ("optimize.engine.constraints",),
    "optimize.engine": ("optimize.optimize", "optimize.engine.splits", "optimize.optimizers.resolve", "optimize.prepare"),
    "optimize.failures": ("optimize.optimizers.commit_queue.blame",),
    "optimize.few_shot": ("optimize.optimizers.few_shot",),
    "optimize.front": ("optimize.engine.pareto",),
    "optimize.gepa": ("optimize.optimizers.gepa",),
    "optimize.head": ("optimize.optimizers.commit_queue.head",),
    "optimize.knowledge": ("optimize.optimizers.commit_queue.knowledge",),
    "optimize.ledger": ("optimize.engine.ledger",),
    "optimize.listing": ("optimize.optimizers.commit_queue.listing",),
    "optimize.merge": ("optimize.optimizers.commit_queue.merge",),
    "optimize.metaprompt": ("optimize.optimizers.metaprompt",),
    "optimize.mlflow_shape": ("optimize.optimizers.mlflow",),
    "optimize.plugin": ("optimize.optimizers.plugin",),
    "optimize.problem": ("optimize.engine.problem",),
    "optimize.proof": ("optimize.engine.proof",),
    "optimize.proposing": ("optimize.optimizers.proposal",),
    "optimize.reflection": ("optimize.optimizers.reflection",),
    "optimize.result": ("optimize.engine.result",),
    "optimize.run": ("optimize.engine.run", "optimize.engine.job", "optimize.engine.probe", "optimize.engine.run_config"),
    "optimize.weighing": ("optimize.optimizers.commit_queue.tally",),
    "options": ("evaluation.options",),
    "otel": ("recording.otel",),
    "places": ("tracing.call_site",),
    "prices": ("recording.costs",),
    "progress": ("evaluation.progress",),
    "prompts": ("prompts.version", "prompts.messages"),
    "protocols": ("protocols", "protocols.store", "protocols.runs"),
    "ray": ("evaluation.ray",),
    "records": ("records", "records.prompts", "records.traces", "records.evaluation"),
    "registry": ("registry.registry", "registry.serving"),
    "remote": ("evaluation.remote",),
    "reports": ("evaluation.html",),
    "retrying": ("retry",),
    "reviewing": ("registry.functions", "datasets.feedback"),
    "rollouts": ("evaluation.runner",),
    "scope": ("prompts.context",),
    "stats": ("evaluation.statistics",),
    "steps": ("recording.decorator",),
    "store.sql.runs": ("store.sql.runs", "rollout_json"),
    "sync": ("transfer.folder",),
    "targets": ("evaluation.targets",),
    "tracing": ("tracing.trace",),
    "tracked": ("registry.tracked_runs",),
    "transfer": ("transfer.archive",),
    "trying": ("evaluation.playground",),
    "variables": ("templates.schemas",),
}

MOVED: Mapping[str, tuple[str, ...]] = {
    f"{_PACKAGE}.{old}": tuple(f"{_PACKAGE}.{new}" for new in homes) for old, homes in _NEW_HOMES.items()
}
"""Full name of a module of version 0.1.0 -> the modules that hold its names now, most of them in the first."""

# A module that took in several old ones has the name of the first: a name of it was there, or was in none that is stored.
_OLD_NAME = {new: old for old, homes in reversed(list(MOVED.items())) for new in homes}
_MODULE = re.compile(rf"(?<![\w.]){_PACKAGE}(?:\.\w+)+(?=:)")


def homes_of(module: str) -> tuple[str, ...]:
    """Return the modules to look in, in order, for a name that a reference says is in `module`."""
    return MOVED.get(module, (module,))


def with_old_names(reference: str) -> str:
    """Return a reference as version 0.1.0 wrote it, also where it is nested in another one.

    Hashes that were stored by an earlier version have to stay the same: for a reader, use the reference as it is.
    """
    return _MODULE.sub(lambda found: _OLD_NAME.get(found[0], found[0]), reference)
