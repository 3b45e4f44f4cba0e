"""The way from a version to a framework's template. It leads through plugins, which `prompts` may not import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

as_template: Callable[[Any, str], Any]
"""Asks the plugins for a version as a template of the framework of that name; None if no plugin makes one. The front door sets it."""
