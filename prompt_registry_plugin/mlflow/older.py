"""Functions of prompts that MLflow had before `mlflow.genai`: they work, and warn as MLflow's do."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from prompt_registry_plugin.mlflow.genai import prompts

P = ParamSpec("P")
R = TypeVar("R")


def _older(function: Callable[P, R]) -> Callable[P, R]:
    name = function.__name__

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        said = f"The `mlflow.{name}` API is moved to the `mlflow.genai` namespace: call `mlflow.genai.{name}`."
        warnings.warn(said, FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    return call


register_prompt = _older(prompts.register_prompt)
load_prompt = _older(prompts.load_prompt)
search_prompts = _older(prompts.search_prompts)
set_prompt_alias = _older(prompts.set_prompt_alias)
delete_prompt_alias = _older(prompts.delete_prompt_alias)
