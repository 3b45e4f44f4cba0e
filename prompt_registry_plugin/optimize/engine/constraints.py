"""Limits that every proposed text has to keep to, whichever optimizer proposes it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.errors import InvalidTemplate, UserError
from prompt_registry_plugin.records import TemplateFormat
from prompt_registry_plugin.templates import compile_template

# Characters that a component may gain over its baseline if no limit is set: about 750 tokens, which every call would pay for.
# Chosen, not measured; in the banking demo, nearly all proposals that cannot be used are over it.
_MAX_GROWTH = 3000
_CHARACTERS_PER_TOKEN = 4  # a rule of thumb for English: the tokens that a model counts depend on the model
_MARKED = r"(?s)<keep>.*?</keep>"
_STATEMENTS = r"(?s)\{%.*?%\}"  # of Jinja: they are program, not prose


@dataclass(frozen=True, slots=True)
class Constraints:
    """Limits for the text of every component. Text between `<keep>` and `</keep>` stays as it is in any case."""

    max_words: int | None = None
    """Words, at most; None for no limit."""
    max_tokens: int | None = None
    """Tokens of four characters each, at most; None for no limit."""
    protected: Sequence[str] = ()
    """Regular expressions: what they match in the baseline stays as it is."""

    def __post_init__(self) -> None:
        for name in ("max_words", "max_tokens"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UserError(f"Constraints({name}=…) is a whole number from 1 on, not {value!r}.")
        if isinstance(self.protected, str):
            raise UserError("Constraints(protected=…) is a list of regular expressions, not a single string.")
        for pattern in self.protected:
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise UserError(f"Invalid regular expression {pattern!r} in Constraints(protected=…): {error}.") from error

    def passages(self, text: str, template_format: TemplateFormat = "double_brace") -> list[str]:
        """Return the protected passages of a text, in order."""
        patterns = [_MARKED, *self.protected, *([_STATEMENTS] if template_format == "jinja2" else [])]
        return [match[0] for pattern in patterns for match in re.finditer(pattern, text) if match[0]]

    def fault_of_length(self, text: str, baseline: str) -> str | None:
        """Return why a text is too long, or None. If the baseline is over a limit, its own length is the limit."""
        for limit, count, unit in ((self.max_words, _words, "words"), (self.max_tokens, _tokens, "tokens")):
            if limit is not None and count(text) > max(limit, count(baseline)):
                return f"it has {count(text)} {unit}, over the limit of {max(limit, count(baseline))}"
        if self.max_words is None and self.max_tokens is None and len(text) > len(baseline) + _MAX_GROWTH:
            return f"it has {len(text)} characters, over the limit of {len(baseline) + _MAX_GROWTH}"
        return None

    def rules(self, baseline: str, template_format: TemplateFormat = "double_brace") -> list[str]:
        """Return the limits as sentences for the reflection model."""
        limits = [] if self.max_words is None else [f"Use {self.max_words} words at most."]
        limits += [] if self.max_tokens is None else [f"Use {self.max_tokens * _CHARACTERS_PER_TOKEN} characters at most."]
        kept = "\n".join(dict.fromkeys(self.passages(baseline, template_format)))
        return [*limits, *([f"Leave these passages exactly as they are:\n{kept}"] if kept else [])]


def fault_of(
    text: str,
    baseline: str,
    current: str,
    constraints: Constraints | None = None,
    template_format: TemplateFormat = "double_brace",
) -> str | None:
    """Return why `text` may not replace the `current` text of a component, or None if it may.

    It may not if it is empty, unchanged or too long, if its variables differ from the baseline's, or if a protected passage of the
    baseline is missing.
    """
    constraints = constraints or Constraints()
    if not text.strip():
        return "it is empty"
    if text != text.encode("utf-8", "replace").decode():
        return "it is not valid Unicode"
    if text.strip() == current.strip():
        return "it is the same as before"
    if too_long := constraints.fault_of_length(text, baseline):
        return too_long
    try:
        variables = compile_template(text, "the proposal", template_format).variables
    except InvalidTemplate as error:
        return str(error)
    wanted = compile_template(baseline, "the baseline", template_format).variables
    if dropped := sorted(wanted - variables):
        return f"it drops the variable {{{{{dropped[0]}}}}}"
    if invented := sorted(variables - wanted):
        return f"it invents the variable {{{{{invented[0]}}}}}"
    for passage, n in Counter(constraints.passages(baseline, template_format)).items():
        if text.count(passage) < n:
            return f"it changes the protected passage {passage!r:.80}"
    return None


def _words(text: str) -> int:
    return len(text.split())


def _tokens(text: str) -> int:
    return -(-len(text) // _CHARACTERS_PER_TOKEN)
