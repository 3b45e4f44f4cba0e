"""The plain form of an object in a recording, as far as it can be read without calling anything of the agent's."""

from __future__ import annotations

from typing import Any

from prompt_registry_plugin.plain.data import NOTHING, scalar_form, time_or_text_form
from prompt_registry_plugin.plain.fields import hidden_fields, stored_fields
from prompt_registry_plugin.plain.messages import inner_answer


def recorded_form(value: Any) -> tuple[Any] | None:
    """Return the fields, the value or the text of an object in a tuple, or None. What it holds may be objects still.

    So a row that is made from a trace has the same form as an answer (`plain.answers`). Methods such as `to_dict` are not called, since
    the agent waits for a recording, and fields that an object's `repr` hides are left out.
    """
    for read in (scalar_form, time_or_text_form):
        if (found := read(value)) is not NOTHING:
            return (found,)
    if hasattr(value, "get_secret_value"):
        return ("**********",)
    if getattr(type(value), "__pydantic_root_model__", False):
        return (value.root,)
    if not callable(getattr(value, "parse", None)) and (inner := inner_answer(value)) is not None:
        return inner
    fields = stored_fields(value)
    return None if fields is None else ({name: item for name, item in fields.items() if name not in hidden_fields(value)},)
