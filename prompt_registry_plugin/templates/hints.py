"""What looks like a mistake in a template, though it is none: texts of other dialects."""

from __future__ import annotations

import re

from prompt_registry_plugin.frozen import values_of
from prompt_registry_plugin.records import Template

_SINGLE = re.compile(r"(?<![{}$\\\w])\{([A-Za-z_]\w*)\}(?!\})")  # not {{name}}, not ${name}, not \frac{a}
_DOUBLE = re.compile(r"\{\{")


def single_braces(template: Template, template_format: str = "double_brace") -> list[str]:
    """Return the names that stand in single braces (`{name}`) in a template that has no variables at all.

    There they are text, and most often were meant as variables. A template with variables of its own knows the difference.
    """
    texts = list(values_of(str, template))
    if template_format != "double_brace" or any(_DOUBLE.search(text) for text in texts):
        return []
    return list(dict.fromkeys(name for text in texts for name in _SINGLE.findall(text)))


def hint(template: Template, template_format: str = "double_brace") -> str | None:
    """Return what a user is told about a template, in one sentence; None if nothing looks like a mistake."""
    names = single_braces(template, template_format)
    if not names:
        return None
    return f"{{{names[0]}}} is plain text here; a variable is written {{{{{names[0]}}}}}"
