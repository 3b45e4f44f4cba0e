"""The front door: each public name once, with the module where it lives. `lazy_names` reads this file at run time.

Errors, scorers, protocols and records have a module each. What is not here either is in the module of its subject.
"""

from . import errors as errors
from . import protocols as protocols
from . import records as records
from . import scorers as scorers
from .errors import PromptRegistryError as PromptRegistryError
from .errors import RunError as RunError
from .errors import UserError as UserError
from .evaluation.bound_target import target as target
from .evaluation.compare import acompare as acompare
from .evaluation.compare import compare as compare
from .evaluation.comparison import Comparison as Comparison
from .evaluation.evaluate import EvaluationResult as EvaluationResult
from .evaluation.evaluate import aevaluate as aevaluate
from .evaluation.evaluate import evaluate as evaluate
from .evaluation.options import RunOptions as RunOptions
from .evaluation.playground import atry_prompts as atry_prompts
from .evaluation.playground import load_table as load_table
from .evaluation.playground import try_prompts as try_prompts
from .frameworks.enabling import disable as disable
from .frameworks.enabling import enable as enable
from .frameworks.enabling import enabled as enabled
from .hookspecs import hookimpl as hookimpl
from .models.prompt_agent import PromptAgent as PromptAgent
from .old_names import *  # noqa: F403  for type checkers; at run time these names warn
from .optimize.engine.budget import Budget as Budget
from .optimize.engine.constraints import Constraints as Constraints
from .optimize.engine.result import PromptOptimizationResult as PromptOptimizationResult
from .optimize.migrate import MigrationResult as MigrationResult
from .optimize.migrate import amigrate_prompts as amigrate_prompts
from .optimize.migrate import migrate_prompts as migrate_prompts
from .optimize.optimize import aoptimize_prompts as aoptimize_prompts
from .optimize.optimize import aresume_run as aresume_run
from .optimize.optimize import optimize_prompts as optimize_prompts
from .optimize.optimize import resume_run as resume_run
from .optimize.planning import plan_optimization as plan_optimization
from .prompts.context import in_context as in_context
from .prompts.context import override_prompts as override_prompts
from .prompts.version import PromptVersion as PromptVersion
from .recording.decorator import trace as trace
from .records import Example as Example
from .records import Feedback as Feedback
from .records import Item as Item
from .records import Score as Score
from .registry.current import current_registry as current_registry
from .registry.current import open_registry as open_registry
from .registry.current import use_registry as use_registry
from .registry.functions import Dataset as Dataset
from .registry.functions import aadopt as aadopt
from .registry.functions import acoverage as acoverage
from .registry.functions import adopt as adopt
from .registry.functions import alist_datasets as alist_datasets
from .registry.functions import aload_dataset as aload_dataset
from .registry.functions import aload_prompt as aload_prompt
from .registry.functions import alog_feedback as alog_feedback
from .registry.functions import aprompt_history as aprompt_history
from .registry.functions import aregister_dataset as aregister_dataset
from .registry.functions import aregister_prompt as aregister_prompt
from .registry.functions import aregister_prompts as aregister_prompts
from .registry.functions import arollback as arollback
from .registry.functions import asearch_prompts as asearch_prompts
from .registry.functions import asearch_traces as asearch_traces
from .registry.functions import aset_prompt_alias as aset_prompt_alias
from .registry.functions import coverage as coverage
from .registry.functions import list_datasets as list_datasets
from .registry.functions import load_dataset as load_dataset
from .registry.functions import load_prompt as load_prompt
from .registry.functions import log_feedback as log_feedback
from .registry.functions import merge_records as merge_records
from .registry.functions import prompt_history as prompt_history
from .registry.functions import record as record
from .registry.functions import register_dataset as register_dataset
from .registry.functions import register_prompt as register_prompt
from .registry.functions import register_prompts as register_prompts
from .registry.functions import rollback as rollback
from .registry.functions import search_prompts as search_prompts
from .registry.functions import search_traces as search_traces
from .registry.functions import set_prompt_alias as set_prompt_alias
from .registry.registry import PromptRegistry as PromptRegistry
from .scorers.scorer import scorer as scorer
from .tracing.trace import Trace as Trace

__version__: str
