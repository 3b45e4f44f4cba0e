"""Exceptions with which Pydantic AI's tools and hooks stop without having failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_ai import exceptions

from prompt_registry_plugin.records import EMPTY

_DEFERRED = ("CallDeferred", "ApprovalRequired")  # the run ends with the request, and goes on with the answer
_SKIPPED = ("SkipModelRequest", "SkipToolExecution", "SkipToolValidation")  # a hook gives the result itself


def _classes(names: tuple[str, ...]) -> tuple[type[BaseException], ...]:
    """Return those classes that the installed version has."""
    return tuple(found for name in names if (found := getattr(exceptions, name, None)) is not None)


def signal(error: BaseException) -> Mapping[str, Any] | None:
    """Return what a tool that ended so says: that a person or another system has to answer."""
    if isinstance(error, _classes(_DEFERRED)):
        return {"interrupt": [type(error).__name__]}
    return EMPTY if isinstance(error, _classes(_SKIPPED)) else None
