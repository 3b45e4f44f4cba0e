"""`mlflow.tracking`: the client, and the functions of runs."""

from __future__ import annotations

from typing import Any

from prompt_registry_plugin.mlflow.absent import missing
from prompt_registry_plugin.mlflow.client import MlflowClient
from prompt_registry_plugin.mlflow.runs import get_tracking_uri, set_registry_uri, set_tracking_uri


def __getattr__(name: str) -> Any:
    missing("mlflow.tracking", name)


__all__ = ["MlflowClient", "get_tracking_uri", "set_registry_uri", "set_tracking_uri"]
