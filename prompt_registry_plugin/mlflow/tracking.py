"""`mlflow.tracking`: the client, and the functions of runs."""

from __future__ import annotations

from importlib import import_module
from typing import Any

from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.client import MlflowClient
from prompt_registry_plugin.mlflow.runs import get_tracking_uri, set_registry_uri, set_tracking_uri
from prompt_registry_plugin.moved import current_place, warn_moved


def __getattr__(name: str) -> Any:
    module, moved = current_place(__name__, name)
    if module != __name__ and hasattr(import_module(module), moved):
        warn_moved(__name__, name, module, moved)
        return getattr(import_module(module), moved)
    return missing("mlflow.tracking", name)


__all__ = ["MlflowClient", "get_tracking_uri", "set_registry_uri", "set_tracking_uri"]
