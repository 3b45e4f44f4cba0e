"""Templates: compiled once, rendered strictly. Values are never read as templates.

There are two dialects. `double_brace`, the default, has `{{name}}` and includes, nothing else (see `text`). `jinja2` is the full
language in a sandbox (see `jinja`). A template in either is a string or a list of chat messages (see `chat`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from prompt_registry_plugin.errors import InvalidTemplate, needs_extra
from prompt_registry_plugin.records import Template, TemplateFormat
from prompt_registry_plugin.templates.chat import ChatTemplate, compile_chat
from prompt_registry_plugin.templates.text import TextTemplate, compile_text

CompiledTemplate = TextTemplate | ChatTemplate


def compile_template(template: Template, where: str, template_format: TemplateFormat = "double_brace") -> CompiledTemplate:
    """Return the compiled form of a string or a list of messages.

    `where` names the template in errors. Raises `InvalidTemplate` with the position of the error.
    """
    compile_one = compile_text
    if template_format == "jinja2":
        with needs_extra("jinja", "Jinja templates need"):
            from prompt_registry_plugin.templates.jinja import compile_jinja

        compile_one = compile_jinja
    elif template_format != "double_brace":
        raise InvalidTemplate(f"template_format of {where} is 'double_brace' or 'jinja2', not {template_format!r}")
    if isinstance(template, str):
        if not template.strip():
            raise InvalidTemplate(f"the template of {where} is empty")
        return compile_one(template, where)
    if isinstance(template, Mapping | bytes) or not isinstance(template, Sequence):
        raise InvalidTemplate(f"the template of {where} is a text or a list of messages, not {type(template).__name__}")
    if not template:
        raise InvalidTemplate(f"the template of {where} is an empty list of messages")
    return compile_chat(template, where, compile_one)


__all__ = ["ChatTemplate", "CompiledTemplate", "TextTemplate", "compile_template"]
