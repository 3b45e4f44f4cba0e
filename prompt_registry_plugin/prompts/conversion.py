"""The way from a version to a framework's template. It leads through plugins, which `prompts` may not import."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

as_template: Callable[[Any, str], Any]
"""Returns a version as a template of the framework of that name, or None. The front door sets it to ask the plugins."""
