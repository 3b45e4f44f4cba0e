"""What MLflow has and this layer does not carry: each name says what to use."""

from __future__ import annotations

from typing import NoReturn

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.mlflow.exceptions import MlflowException

_MODELS = (
    "objects are not stored as models here: pass the agent itself, or 'package.module:name', as predict_fn; for a prompt with a model, "
    "mlflow.pyfunc.load_model('prompts:/name@alias') or `prompt-registry serve-prompt`"
)
_AUTOLOG = "prompt_registry_plugin.enable({!r}) switches the adapter on, whose runs are then recorded"
_JUDGES = "prompt_registry_plugin.Judge('a yes-or-no question', model=…)"
_LINKED = "a trace knows which prompts were rendered in it: `trace.prompts`, search_traces(prompt=…)"
_AGENTS = "agents are code here, not models in a registry; what they are served is in their traces: search_traces(prompt=…)"
_FILES = "files are not stored with runs; data sets are: mlflow.genai.datasets.create_dataset(name)"
_VERSIONS = (
    "versions do not change, so that what was tested is what is served: register another with mlflow.genai.register_prompt"
)
_SEARCH = "`prompt-registry export FILE` writes all runs as JSON Lines"

INSTEAD = {
    "evaluate": "mlflow.genai.evaluate(data=…, scorers=[…], predict_fn=…)",
    "log_model": _MODELS,
    "save_model": _MODELS,
    "link_prompt_versions_to_trace": _LINKED,
    **dict.fromkeys(
        (
            "set_active_model",
            "get_active_model_id",
            "clear_active_model",
            "create_external_model",
            "create_logged_model",
            "get_logged_model",
            "link_prompt_version_to_model",
            "create_registered_model",
            "get_registered_model",
            "delete_registered_model",
            "rename_registered_model",
            "create_model_version",
            "get_model_version",
            "get_latest_versions",
        ),
        _AGENTS,
    ),
    "log_artifact": _FILES,
    "log_artifacts": _FILES,
    "log_dict": _FILES,
    "log_text": _FILES,
    "log_table": "`prompt-registry try --save` keeps inputs and outputs, and mlflow.load_table() gives them back",
    "log_input": _FILES,
    "log_image": _FILES,
    "log_figure": _FILES,
    "autolog": "prompt_registry_plugin.enable() switches on the adapter of every framework that is installed",
    "langchain": _AUTOLOG.format("langchain"),
    "langgraph": _AUTOLOG.format("langgraph"),
    "pydantic_ai": _AUTOLOG.format("pydantic_ai"),
    "openai": "the client is not traced by itself: @mlflow.trace on the function that calls it; for the Agents SDK, "
    "prompt_registry_plugin.enable('openai_agents')",
    "models": _MODELS,
    "start_span_no_context": "@mlflow.trace on a function",
    "update_current_trace": "mlflow.log_feedback(trace_id=…), or tags of the run: mlflow.set_tag",
    "get_current_active_span": "@mlflow.trace on a function: its inputs and output are its span",
    "get_last_active_trace_id": "mlflow.search_traces(return_type='list', max_results=1)[0].id",
    "last_active_run": "run = mlflow.start_run(); run.info.run_id stays known",
    "get_experiment_by_name": "the name is the id: mlflow.set_experiment(name)",
    "get_experiment": "the name is the id: mlflow.set_experiment(name)",
    "SpanType": "a text will do: @mlflow.trace(span_type='LLM'), which is not kept",
    "AssessmentSource": "who says something is PROMPT_REGISTRY_USER, or the user of the process",
    "Expectation": "mlflow.log_expectation(trace_id=…, name=…, value=…)",
    "sklearn": _MODELS,
    "search_runs": _SEARCH,
    "search_experiments": _SEARCH,
    "deployments": "`prompt-registry serve-prompt NAME@alias --model …`",
    "gateway": "prompt_registry_plugin.PromptAgent(prompt, model)",
    "optimize_prompt": "mlflow.genai.optimize_prompts",
    "make_judge": _JUDGES,
    "judges": _JUDGES,
    "label_schemas": "`prompt-registry annotate`",
    "labeling": "`prompt-registry annotate`",
    "to_predict_fn": "predict_fn='package.module:name'",
    "delete_dataset": "versions of data sets stay, as evaluations refer to them",
    "create_prompt": "mlflow.genai.register_prompt",
    "create_prompt_version": "mlflow.genai.register_prompt",
    **dict.fromkeys(
        (
            "PIIDetection",
            "RetrievalRelevance",
            "RetrievalSufficiency",
            "Summarization",
            "ToolCallEfficiency",
            "make_scorer_ensemble",
            "get_all_scorers",
        ),
        _JUDGES,
    ),
    **dict.fromkeys(
        (
            "ConversationalGuidelines",
            "ConversationalRoleAdherence",
            "ConversationalSafety",
            "ConversationalToolCallEfficiency",
            "ConversationCompleteness",
            "KnowledgeRetention",
            "UserFrustration",
        ),
        "one answer is scored at a time here: a judge of the last one, " + _JUDGES,
    ),
}  # fmt: skip


class NotCarried(MlflowException, UserError):
    """A name of MLflow that this layer does not carry; the message says what to use instead."""

    def __init__(self, message: str) -> None:
        super().__init__(message, "NOT_IMPLEMENTED")


def missing(where: str, name: str) -> NoReturn:
    """Raises `NotCarried` for a name that MLflow has, `AttributeError` for one that nobody has."""
    if name in INSTEAD:
        raise NotCarried(f"{where}.{name} is not carried over; instead: {INSTEAD[name]}")
    raise AttributeError(f"module 'prompt_registry_plugin.{where}' has no attribute {name!r}")
