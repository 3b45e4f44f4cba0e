"""Versioned prompts, traces and prompt optimization for the agents you already have.

    import prompt_registry_plugin as pr

Everything public is here, and is imported when it is first used: importing the package loads no framework and no database.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.prompts import conversion as _conversion

__version__ = "0.1.0"

if TYPE_CHECKING:
    from prompt_registry_plugin.config.models import AppConfig as AppConfig
    from prompt_registry_plugin.errors import AliasConflict as AliasConflict
    from prompt_registry_plugin.errors import BudgetExhausted as BudgetExhausted
    from prompt_registry_plugin.errors import BudgetTooSmall as BudgetTooSmall
    from prompt_registry_plugin.errors import DatasetNotFound as DatasetNotFound
    from prompt_registry_plugin.errors import InvalidExample as InvalidExample
    from prompt_registry_plugin.errors import InvalidFilter as InvalidFilter
    from prompt_registry_plugin.errors import InvalidName as InvalidName
    from prompt_registry_plugin.errors import InvalidScore as InvalidScore
    from prompt_registry_plugin.errors import InvalidStore as InvalidStore
    from prompt_registry_plugin.errors import InvalidTemplate as InvalidTemplate
    from prompt_registry_plugin.errors import InvalidURI as InvalidURI
    from prompt_registry_plugin.errors import InvalidVariable as InvalidVariable
    from prompt_registry_plugin.errors import MissingVariable as MissingVariable
    from prompt_registry_plugin.errors import ModelUnavailable as ModelUnavailable
    from prompt_registry_plugin.errors import PluginError as PluginError
    from prompt_registry_plugin.errors import PromptExists as PromptExists
    from prompt_registry_plugin.errors import PromptNotFound as PromptNotFound
    from prompt_registry_plugin.errors import PromptNotRendered as PromptNotRendered
    from prompt_registry_plugin.errors import PromptRegistryError as PromptRegistryError
    from prompt_registry_plugin.errors import RunError as RunError
    from prompt_registry_plugin.errors import StoreUnavailable as StoreUnavailable
    from prompt_registry_plugin.errors import TargetFailed as TargetFailed
    from prompt_registry_plugin.errors import UserError as UserError
    from prompt_registry_plugin.evaluation.compare import acompare as acompare
    from prompt_registry_plugin.evaluation.compare import compare as compare
    from prompt_registry_plugin.evaluation.comparison import Comparison as Comparison
    from prompt_registry_plugin.evaluation.evaluate import EvaluationResult as EvaluationResult
    from prompt_registry_plugin.evaluation.evaluate import aevaluate as aevaluate
    from prompt_registry_plugin.evaluation.evaluate import evaluate as evaluate
    from prompt_registry_plugin.evaluation.options import Event as Event
    from prompt_registry_plugin.evaluation.options import RunOptions as RunOptions
    from prompt_registry_plugin.evaluation.playground import Trial as Trial
    from prompt_registry_plugin.evaluation.playground import atry_prompts as atry_prompts
    from prompt_registry_plugin.evaluation.playground import load_table as load_table
    from prompt_registry_plugin.evaluation.playground import try_prompts as try_prompts
    from prompt_registry_plugin.evaluation.variant import Variant as Variant
    from prompt_registry_plugin.frameworks.enabling import disable as disable
    from prompt_registry_plugin.frameworks.enabling import enable as enable
    from prompt_registry_plugin.frameworks.enabling import enabled as enabled
    from prompt_registry_plugin.hookspecs import hookimpl as hookimpl
    from prompt_registry_plugin.models.prompt_agent import PromptAgent as PromptAgent
    from prompt_registry_plugin.optimize.engine.budget import Budget as Budget
    from prompt_registry_plugin.optimize.engine.constraints import Constraints as Constraints
    from prompt_registry_plugin.optimize.engine.pareto import ParetoPoint as ParetoPoint
    from prompt_registry_plugin.optimize.engine.problem import OptimizationResult as OptimizationResult
    from prompt_registry_plugin.optimize.engine.problem import Optimizer as Optimizer
    from prompt_registry_plugin.optimize.engine.problem import Problem as Problem
    from prompt_registry_plugin.optimize.engine.result import PromptOptimizationResult as PromptOptimizationResult
    from prompt_registry_plugin.optimize.migrate import MigratedPrompt as MigratedPrompt
    from prompt_registry_plugin.optimize.migrate import MigrationResult as MigrationResult
    from prompt_registry_plugin.optimize.migrate import amigrate_prompts as amigrate_prompts
    from prompt_registry_plugin.optimize.migrate import migrate_prompts as migrate_prompts
    from prompt_registry_plugin.optimize.optimize import aoptimize_prompts as aoptimize_prompts
    from prompt_registry_plugin.optimize.optimize import aresume_run as aresume_run
    from prompt_registry_plugin.optimize.optimize import optimize_prompts as optimize_prompts
    from prompt_registry_plugin.optimize.optimize import resume_run as resume_run
    from prompt_registry_plugin.plugins import create_plugin_manager as create_plugin_manager
    from prompt_registry_plugin.prompts.context import in_context as in_context
    from prompt_registry_plugin.prompts.context import override_prompts as override_prompts
    from prompt_registry_plugin.prompts.version import PromptVersion as PromptVersion
    from prompt_registry_plugin.protocols import ImportedPrompt as ImportedPrompt
    from prompt_registry_plugin.protocols import NewVersion as NewVersion
    from prompt_registry_plugin.protocols import Reply as Reply
    from prompt_registry_plugin.recording.decorator import trace as trace
    from prompt_registry_plugin.records import AliasMove as AliasMove
    from prompt_registry_plugin.records import Candidate as Candidate
    from prompt_registry_plugin.records import Change as Change
    from prompt_registry_plugin.records import CoverageRow as CoverageRow
    from prompt_registry_plugin.records import DatasetSummary as DatasetSummary
    from prompt_registry_plugin.records import Example as Example
    from prompt_registry_plugin.records import Feedback as Feedback
    from prompt_registry_plugin.records import Interval as Interval
    from prompt_registry_plugin.records import Item as Item
    from prompt_registry_plugin.records import Page as Page
    from prompt_registry_plugin.records import Price as Price
    from prompt_registry_plugin.records import Prompt as Prompt
    from prompt_registry_plugin.records import Rollout as Rollout
    from prompt_registry_plugin.records import Score as Score
    from prompt_registry_plugin.records import Span as Span
    from prompt_registry_plugin.records import TraceFeedback as TraceFeedback
    from prompt_registry_plugin.records import Usage as Usage
    from prompt_registry_plugin.registry.current import current_registry as current_registry
    from prompt_registry_plugin.registry.current import open_registry as open_registry
    from prompt_registry_plugin.registry.current import use_registry as use_registry
    from prompt_registry_plugin.registry.functions import Dataset as Dataset
    from prompt_registry_plugin.registry.functions import aadopt as aadopt
    from prompt_registry_plugin.registry.functions import aarchive_prompt as aarchive_prompt
    from prompt_registry_plugin.registry.functions import acoverage as acoverage
    from prompt_registry_plugin.registry.functions import adelete_prompt as adelete_prompt
    from prompt_registry_plugin.registry.functions import adelete_prompt_alias as adelete_prompt_alias
    from prompt_registry_plugin.registry.functions import adelete_prompt_tag as adelete_prompt_tag
    from prompt_registry_plugin.registry.functions import adelete_prompt_version_tag as adelete_prompt_version_tag
    from prompt_registry_plugin.registry.functions import adelete_version as adelete_version
    from prompt_registry_plugin.registry.functions import adopt as adopt
    from prompt_registry_plugin.registry.functions import alist_datasets as alist_datasets
    from prompt_registry_plugin.registry.functions import aload_dataset as aload_dataset
    from prompt_registry_plugin.registry.functions import aload_prompt as aload_prompt
    from prompt_registry_plugin.registry.functions import alog_feedback as alog_feedback
    from prompt_registry_plugin.registry.functions import amerge_records as amerge_records
    from prompt_registry_plugin.registry.functions import aprompt_history as aprompt_history
    from prompt_registry_plugin.registry.functions import aprotect_alias as aprotect_alias
    from prompt_registry_plugin.registry.functions import archive_prompt as archive_prompt
    from prompt_registry_plugin.registry.functions import aregister_dataset as aregister_dataset
    from prompt_registry_plugin.registry.functions import aregister_prompt as aregister_prompt
    from prompt_registry_plugin.registry.functions import aregister_prompts as aregister_prompts
    from prompt_registry_plugin.registry.functions import arename_prompt as arename_prompt
    from prompt_registry_plugin.registry.functions import arestore_prompt as arestore_prompt
    from prompt_registry_plugin.registry.functions import arollback as arollback
    from prompt_registry_plugin.registry.functions import asearch_prompts as asearch_prompts
    from prompt_registry_plugin.registry.functions import asearch_traces as asearch_traces
    from prompt_registry_plugin.registry.functions import aset_prompt_alias as aset_prompt_alias
    from prompt_registry_plugin.registry.functions import aset_prompt_tag as aset_prompt_tag
    from prompt_registry_plugin.registry.functions import aset_prompt_version_tag as aset_prompt_version_tag
    from prompt_registry_plugin.registry.functions import aunprotect_alias as aunprotect_alias
    from prompt_registry_plugin.registry.functions import coverage as coverage
    from prompt_registry_plugin.registry.functions import delete_prompt as delete_prompt
    from prompt_registry_plugin.registry.functions import delete_prompt_alias as delete_prompt_alias
    from prompt_registry_plugin.registry.functions import delete_prompt_tag as delete_prompt_tag
    from prompt_registry_plugin.registry.functions import delete_prompt_version_tag as delete_prompt_version_tag
    from prompt_registry_plugin.registry.functions import delete_version as delete_version
    from prompt_registry_plugin.registry.functions import list_datasets as list_datasets
    from prompt_registry_plugin.registry.functions import load_dataset as load_dataset
    from prompt_registry_plugin.registry.functions import load_prompt as load_prompt
    from prompt_registry_plugin.registry.functions import log_feedback as log_feedback
    from prompt_registry_plugin.registry.functions import merge_records as merge_records
    from prompt_registry_plugin.registry.functions import prompt_history as prompt_history
    from prompt_registry_plugin.registry.functions import protect_alias as protect_alias
    from prompt_registry_plugin.registry.functions import record as record
    from prompt_registry_plugin.registry.functions import register_dataset as register_dataset
    from prompt_registry_plugin.registry.functions import register_prompt as register_prompt
    from prompt_registry_plugin.registry.functions import register_prompts as register_prompts
    from prompt_registry_plugin.registry.functions import rename_prompt as rename_prompt
    from prompt_registry_plugin.registry.functions import restore_prompt as restore_prompt
    from prompt_registry_plugin.registry.functions import rollback as rollback
    from prompt_registry_plugin.registry.functions import search_prompts as search_prompts
    from prompt_registry_plugin.registry.functions import search_traces as search_traces
    from prompt_registry_plugin.registry.functions import set_prompt_alias as set_prompt_alias
    from prompt_registry_plugin.registry.functions import set_prompt_tag as set_prompt_tag
    from prompt_registry_plugin.registry.functions import set_prompt_version_tag as set_prompt_version_tag
    from prompt_registry_plugin.registry.functions import unprotect_alias as unprotect_alias
    from prompt_registry_plugin.registry.registry import PromptRegistry as PromptRegistry
    from prompt_registry_plugin.scorers.agreement import Agreement as Agreement
    from prompt_registry_plugin.scorers.agreement import ajudge_agreement as ajudge_agreement
    from prompt_registry_plugin.scorers.agreement import judge_agreement as judge_agreement
    from prompt_registry_plugin.scorers.builtin import Cost as Cost
    from prompt_registry_plugin.scorers.builtin import JSONSchema as JSONSchema
    from prompt_registry_plugin.scorers.builtin import Latency as Latency
    from prompt_registry_plugin.scorers.builtin import Length as Length
    from prompt_registry_plugin.scorers.builtin import Numeric as Numeric
    from prompt_registry_plugin.scorers.builtin import Regex as Regex
    from prompt_registry_plugin.scorers.builtin import ToolCalls as ToolCalls
    from prompt_registry_plugin.scorers.equivalence import Equivalence as Equivalence
    from prompt_registry_plugin.scorers.judges import Correctness as Correctness
    from prompt_registry_plugin.scorers.judges import Groundedness as Groundedness
    from prompt_registry_plugin.scorers.judges import Guidelines as Guidelines
    from prompt_registry_plugin.scorers.judges import Judge as Judge
    from prompt_registry_plugin.scorers.judges import Relevance as Relevance
    from prompt_registry_plugin.scorers.judges import Safety as Safety
    from prompt_registry_plugin.scorers.scorer import scorer as scorer
    from prompt_registry_plugin.templates.convert import to_double_brace as to_double_brace
    from prompt_registry_plugin.tracing.trace import Trace as Trace

_HOME = {
    "frameworks.enabling": ("disable", "enable", "enabled"),
    "models.prompt_agent": ("PromptAgent",),
    "registry.functions": (
        "Dataset",
        "alist_datasets",
        "aload_dataset",
        "amerge_records",
        "aregister_dataset",
        "list_datasets",
        "load_dataset",
        "merge_records",
        "register_dataset",
        "alog_feedback",
        "asearch_traces",
        "log_feedback",
        "search_traces",
        "aadopt",
        "acoverage",
        "arename_prompt",
        "coverage",
        "rename_prompt",
        "aarchive_prompt",
        "adelete_prompt",
        "adelete_prompt_alias",
        "adelete_prompt_tag",
        "adelete_prompt_version_tag",
        "adelete_version",
        "adopt",
        "aload_prompt",
        "aprompt_history",
        "aprotect_alias",
        "archive_prompt",
        "aregister_prompt",
        "aregister_prompts",
        "arestore_prompt",
        "arollback",
        "asearch_prompts",
        "aset_prompt_alias",
        "aset_prompt_tag",
        "aset_prompt_version_tag",
        "aunprotect_alias",
        "delete_prompt",
        "delete_prompt_alias",
        "delete_prompt_tag",
        "delete_prompt_version_tag",
        "delete_version",
        "load_prompt",
        "prompt_history",
        "protect_alias",
        "record",
        "register_prompt",
        "register_prompts",
        "restore_prompt",
        "rollback",
        "search_prompts",
        "set_prompt_alias",
        "set_prompt_tag",
        "set_prompt_version_tag",
        "unprotect_alias",
    ),
    "config.models": ("AppConfig",),
    "registry.current": ("current_registry", "open_registry", "use_registry"),
    "errors": (
        "AliasConflict",
        "BudgetExhausted",
        "BudgetTooSmall",
        "DatasetNotFound",
        "InvalidExample",
        "InvalidFilter",
        "InvalidName",
        "InvalidScore",
        "InvalidStore",
        "InvalidTemplate",
        "InvalidURI",
        "InvalidVariable",
        "MissingVariable",
        "ModelUnavailable",
        "PluginError",
        "PromptExists",
        "PromptNotFound",
        "PromptNotRendered",
        "PromptRegistryError",
        "RunError",
        "StoreUnavailable",
        "TargetFailed",
        "UserError",
    ),
    "evaluation.evaluate": ("EvaluationResult", "aevaluate", "evaluate"),
    "hookspecs": ("hookimpl",),
    "optimize.engine.budget": ("Budget",),
    "optimize.optimize": ("aoptimize_prompts", "aresume_run", "optimize_prompts", "resume_run"),
    "optimize.engine.constraints": ("Constraints",),
    "optimize.engine.pareto": ("ParetoPoint",),
    "optimize.migrate": ("MigratedPrompt", "MigrationResult", "amigrate_prompts", "migrate_prompts"),
    "evaluation.compare": ("acompare", "compare"),
    "evaluation.comparison": ("Comparison",),
    "evaluation.variant": ("Variant",),
    "scorers.agreement": ("Agreement", "ajudge_agreement", "judge_agreement"),
    "scorers.builtin": ("Cost", "JSONSchema", "Latency", "Length", "Numeric", "Regex", "ToolCalls"),
    "scorers.equivalence": ("Equivalence",),
    "scorers.judges": ("Correctness", "Groundedness", "Guidelines", "Judge", "Relevance", "Safety"),
    "optimize.engine.problem": ("OptimizationResult", "Optimizer", "Problem"),
    "optimize.engine.result": ("PromptOptimizationResult",),
    "evaluation.options": ("Event", "RunOptions"),
    "plugins": ("create_plugin_manager",),
    "prompts.version": ("PromptVersion",),
    "protocols": ("ImportedPrompt", "NewVersion", "Reply"),
    "records": (
        "AliasMove",
        "Candidate",
        "Change",
        "CoverageRow",
        "DatasetSummary",
        "Example",
        "Feedback",
        "Interval",
        "Item",
        "Page",
        "Price",
        "Prompt",
        "Rollout",
        "Score",
        "Span",
        "TraceFeedback",
        "Usage",
    ),
    "registry.registry": ("PromptRegistry",),
    "prompts.context": ("in_context", "override_prompts"),
    "scorers.scorer": ("scorer",),
    "templates.convert": ("to_double_brace",),
    "recording.decorator": ("trace",),
    "evaluation.playground": ("Trial", "atry_prompts", "load_table", "try_prompts"),
    "tracing.trace": ("Trace",),
}
_MODULE_OF = {name: module for module, names in _HOME.items() for name in names}

__all__ = sorted(_MODULE_OF)


def __getattr__(name: str) -> Any:
    module = _MODULE_OF.get(name)
    if module is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(f"{__name__}.{module}"), name)
    return value


def _as_template(version: PromptVersion, framework: str) -> Any:
    from prompt_registry_plugin.plugins import default_plugin_manager

    return default_plugin_manager().hook.prompt_registry_as_template(version=version, framework=framework)


_conversion.as_template = _as_template  # here, since plugins are above prompts; any import of the package runs this


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
