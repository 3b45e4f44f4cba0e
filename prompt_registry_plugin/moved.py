"""Where the modules of version 0.1.0 are now.

Databases hold references such as `prompt_registry_plugin.answering:PromptAgent{…}`, and programs import by such names. Both have to find
what they name after a module has moved. A module that moves again, or a name that changes in place, gets another entry here.

A program's imports work for one release, with a `DeprecationWarning` that says where the name is: `find_old_modules` makes modules
importable that are gone, and `forward_old_names` lets a package that has the name of an old module hand on its names.
"""

from __future__ import annotations

# `typing`, `re` and `importlib.util` are not imported here: the start-up hook imports this module when Python starts.
import sys
import warnings
from collections.abc import Mapping
from importlib import import_module
from importlib.machinery import ModuleSpec
from types import ModuleType

_PACKAGE = "prompt_registry_plugin"

# Old module -> where its names are now, most of them in the first. Some old modules are packages of the same name today.
_NEW_HOMES: dict[str, tuple[str, ...]] = {
    "adapting": ("frameworks.adapter", "frameworks.enabling", "frameworks.prompts", "frameworks.notices"),
    "adoption": ("registry.adoption", "registry.validation"),
    "answering": ("models.prompt_agent",),
    "api": ("registry.functions",),
    "attaching": ("frameworks.lazy",),
    "audit": ("registry.audit",),
    "background": ("recording.writer",),
    "cli.annotating": ("cli.annotate",),
    "cli.applying": ("cli.apply",),
    "cli.evaluating": ("cli.eval_",),
    "cli.files": ("cli.status", "cli.pull", "cli.push", "cli.resolve"),
    "cli.prompts": (
        "cli.show",
        "cli.list_",
        "cli.diff",
        "cli.promote",
        "cli.rollback",
        "cli.unalias",
        "cli.history",
        "cli.protect",
        "cli.archive",
        "cli.delete",
    ),
    "cli.run": ("cli.run_program",),
    "cli.serving": ("cli.serve_prompt",),
    "cli.transfer": ("cli.export", "cli.import_", "cli.copy"),
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
    "formats.dotprompt": ("transfer.formats.prompt_file", "transfer.formats.dotprompt"),
    "formats.langfuse": ("transfer.formats.langfuse",),
    "formats.langsmith": ("transfer.formats.langsmith",),
    "formats.mlflow": ("transfer.formats.mlflow",),
    "formats.openai": ("transfer.formats.openai",),
    "formats.plugin": ("transfer.formats.plugin",),
    "formats.promptfoo": ("transfer.formats.promptfoo",),
    "formats.prompty": ("transfer.formats.prompty",),
    "formats.reading": ("transfer.formats.reading", "transfer.formats.names"),
    "keeping": ("evaluation.cache",),
    "loading": ("registry.loader",),
    "mlflow.tracking": ("mlflow.runs",),
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
    "optimize.knowledge": ("optimize.optimizers.commit_queue.knowledge", "optimize.optimizers.commit_queue.clusters"),
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
    "otel": ("recording.otel", "recording.plugin"),
    "places": ("tracing.call_site", "prompts.context"),
    "prices": ("recording.costs", "recording.plugin"),
    "progress": ("evaluation.progress",),
    "prompts": ("prompts.version", "prompts.messages"),
    "protocols": ("protocols", "protocols.store", "protocols.runs"),
    "ray": ("evaluation.ray",),
    "records": ("records", "records.prompts", "records.traces", "records.evaluation"),
    "registry": ("registry.registry", "registry.serving", "registry.history"),
    "remote": ("evaluation.remote",),
    "reports": ("evaluation.html",),
    "retrying": ("retry",),
    "reviewing": ("registry.functions", "datasets.feedback"),
    "rollouts": ("evaluation.runner",),
    "scope": ("prompts.context", "prompts.version"),
    "server.plugin": ("server.plugin", "server.command"),
    "stats": ("evaluation.statistics",),
    "steps": ("recording.decorator",),
    "store.sql.runs": ("store.sql.runs", "rollout_json"),
    "sync": ("transfer.folder", "transfer.lock"),
    "targets": ("evaluation.targets",),
    "tracing": ("tracing.trace", "tracing.recorder", "tracing.call_site"),
    "tracked": ("registry.tracked_runs",),
    "testing.stores": ("testing.stores", "testing.stores.versions"),
    "transfer": ("transfer.archive", "transfer.imports"),
    "trying": ("evaluation.playground",),
    "variables": ("templates.schemas",),
}

MOVED: Mapping[str, tuple[str, ...]] = {
    f"{_PACKAGE}.{old}": tuple(f"{_PACKAGE}.{new}" for new in homes) for old, homes in _NEW_HOMES.items()
}
"""Full name of a module of version 0.1.0 -> the modules that hold its names now, most of them in the first."""

RENAMED: Mapping[str, str] = {
    "adapting:discovered": "frameworks.prompts:record_discovered",
    "adapting:raised": "frameworks.adapter:set_flag",
    "cli.prompts:name_of": "cli.settings:whole_prompt_name",
    "comparison:Said": "evaluation.compare:PromptChoice",
    "comparison:read_gate": "evaluation.gate:parse_gate",
    "concurrency:tell_of_forks": "forks:watch_forks",
    "curation:is_uri": "datasets.dataset:is_dataset_uri",
    "curation:merged": "datasets.dataset:merge_examples",
    "formats.reading:read_yaml": "transfer.formats.reading:parse_yaml",
    "filters:Comparison": "store.filters:Predicate",
    "keeping:KeptRollouts": "evaluation.cache:RolloutCache",
    "masking:detached": "masking:json_copy",
    "optimize.budget:Aside": "optimize.engine.budget:Reservation",
    "optimize.engine:held_out_of": "optimize.engine.splits:held_out_sizes",
    "optimize.knowledge:Edits": "optimize.optimizers.commit_queue.knowledge:EditNumbers",
    "optimize.knowledge:Known": "optimize.optimizers.commit_queue.knowledge:Observation",
    "optimize.knowledge:shown": "optimize.optimizers.commit_queue.proposer:failure_evidence",
    "optimize.knowledge:shown_right": "optimize.optimizers.commit_queue.proposer:success_evidence",
    "optimize.listing:Key": "optimize.optimizers.commit_queue.listing:RolloutKey",
    "optimize.run:divided": "optimize.engine.splits:split_validation",
    "optimize.run:runs_elsewhere": "optimize.engine.heartbeat:is_running_elsewhere",
    "prompt_registry_adapters.openai_agents.tracing:text_of": "prompt_registry_adapters.openai_agents.tracing:item_text",
    "prompts:text_of": "prompts.messages:readable_text",
    "registry:who": "registry.base:current_user",
    "reviewing:feedback_by_trace": "datasets.feedback:group_by_trace",
    "scope:not_rendered": "prompts.context:unrendered_error",
    "scorers.builtin:expected": "scorers.builtin:require_expected",
    "scorers.builtin:text_of": "scorers.builtin:answer_text",
    "steps:traced_in": "recording.decorator:trace_function",
    "store.postgres.connection:schema_exists": "store.postgres.schema:schema_exists",
    "templates.includes:put_in": "templates.includes:expand_includes",
    "templates.text:missing": "templates.text:missing_variable_error",
    "uri:is_uri": "uri:is_prompt_uri",
}
"""Old module:name -> new module:name, for names that changed. Without this package. A module that stayed calls `forward_old_names`."""

GONE: Mapping[str, str] = {
    "attaching:FRAMEWORKS": "each adapter has `waits_for`",
    "formats.reading:from_braces": "`transfer.formats.braces` reads such texts",
    "formats.reading:needs_jinja": "`transfer.formats.jinja_text.read_text` decides",
    "formats.reading:with_texts": "`transfer.formats.pieces.map_texts` does that for texts in pieces",
    "optimize.head:Spend": "an `EditTester` spends the budget of a test",
    "optimize.head:edit_of": "a `Proposal` has the method `as_edit`",
    "optimize.ledger:Key": "a pair is (candidate id, example id)",
    "optimize.reflection:proposed_text": "`optimize.optimizers.instruction.read_instruction` reads answers",
    "optimize.run:HEARTBEAT": "`optimize.engine.heartbeat` knows its interval",
    "optimize.run:budget_of": "`RunConfig.from_json(run.config)` has the budget",
    "optimize.run:nameless_parts": "`RunConfig` has the method `not_importable`",
}
"""Old module:name, without the package -> what to use instead, for names that have no successor."""

# The start-up hook of editable installations of 0.1.0 asks for it at each start of Python: a warning there would never end.
_SILENT = {f"{_PACKAGE}.attaching:from_environment"}

# Two old modules may have a new one in common. It is the one that has most of its names from there, or else the first.
_OLD_NAME = {new: old for old, homes in reversed(list(MOVED.items())) for new in homes[1:]}
_OLD_NAME |= {homes[0]: old for old, homes in reversed(list(MOVED.items()))}


def with_old_names(reference: str) -> str:
    """Return a reference as version 0.1.0 wrote it, also where it is nested in another one.

    Hashes that were stored by an earlier version have to stay the same: for a reader, use the reference as it is.
    """
    import re

    return re.sub(rf"(?<![\w.]){_PACKAGE}(?:\.\w+)+(?=:)", lambda found: _OLD_NAME.get(found[0], found[0]), reference)


def current_place(module: str, name: str) -> tuple[str, str]:
    """Return the module and the name under which `module:name` is found now; both unchanged if it did not move. Warns of nothing."""
    if (renamed := RENAMED.get(f"{module}:{name}".removeprefix(f"{_PACKAGE}."))) is not None:
        new_module, _, new_name = renamed.partition(":")
        return _full_name(new_module), new_name
    for home in MOVED.get(module, ()):
        found = import_module(home)
        # Of the module itself, only what it holds: asking for an attribute could lead here again.
        if name in vars(found) or (home != module and hasattr(found, name)):
            return home, name
    return module, name


def _full_name(module: str) -> str:
    return module if module.startswith("prompt_registry_adapters.") else f"{_PACKAGE}.{module}"


def forward_old_names(module: str) -> None:
    """Let a module that exists hand on the names that it lost.

    It sets the module's `__getattr__`, rather than the module defining one, since type checkers would then accept every name.
    """

    def get(name: str) -> object:
        from importlib.util import find_spec

        # A submodule is not an old name. `from package import submodule` asks for an attribute before it imports.
        if not name.startswith("_") and not (hasattr(sys.modules[module], "__path__") and find_spec(f"{module}.{name}")):
            new_module, new_name = current_place(module, name)
            if (new_module, new_name) != (module, name):
                warn_moved(module, name, new_module, new_name)
                return getattr(import_module(new_module), new_name)
        instead = GONE.get(f"{module}:{name}".removeprefix(f"{_PACKAGE}."))
        raise AttributeError(f"module {module!r} has no attribute {name!r}" + (f" any more: {instead}" if instead else ""))

    sys.modules[module].__getattr__ = get  # type: ignore[method-assign]


def find_old_modules() -> None:
    """Make modules that are gone importable. Costs nothing until an import would fail otherwise."""
    if not any(isinstance(finder, OldModules) for finder in sys.meta_path):
        sys.meta_path.append(OldModules())


class OldModules:
    """A finder and loader for modules that are gone: each is an empty module that hands on its names."""

    def find_spec(self, fullname: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Return a spec for an old module. Python asks this finder last, so a real module always wins."""
        if fullname not in MOVED:
            return None
        return ModuleSpec(fullname, self, is_package=any(old.startswith(f"{fullname}.") for old in MOVED))  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """Let Python make an empty module."""

    def exec_module(self, module: ModuleType) -> None:
        """Forward all names."""
        forward_old_names(module.__name__)


class CalledModule(ModuleType):
    """A module in the place where a function of the same name was. It can be called as that function, with a warning."""

    def __call__(self, *args: object, **kwargs: object) -> object:
        """Call the function."""
        package, _, name = self.__name__.rpartition(".")
        warn_moved(package, name, self.__name__, name)
        return getattr(self, name)(*args, **kwargs)


def warn_moved(module: str, name: str, new_module: str, new_name: str) -> None:
    """Warn whoever called the caller that a name has moved."""
    if f"{module}:{name}" not in _SILENT:
        message = f"{module}.{name} is now {new_module}.{new_name}; the old name goes with the next release"
        warnings.warn(message, DeprecationWarning, stacklevel=3)
