"""The way from a version to a framework's template. It leads through plugins, which `prompts` may not import."""

from __future__ import annotations

from collections.abc import Callable  # and no `typing`: the front door imports this

as_template: Callable[[object, str], object]
"""Returns a version as a template of the framework of that name, or None. The front door sets it to ask the plugins."""
