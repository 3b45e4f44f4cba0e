"""What a proposed text has to keep to, whatever an optimizer thinks of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from prompt_registry_plugin.errors import InvalidTemplate, UserError
from prompt_registry_plugin.records import TemplateFormat
from prompt_registry_plugin.templates import compile_template

_MAX_GROWTH = 3000  # characters that a component may gain over its baseline where no limit is set
_CHARACTERS = 4  # of a token, as a rule of thumb: which tokens a model sees depends on the model
_MARKED = r"(?s)<keep>.*?</keep>"
_STATEMENTS = r"(?s)\{%.*?%\}"  # of Jinja: what they do is program, not prose


@dataclass(frozen=True, slots=True)
class Constraints:
    """Limits for every component: its length in words or in tokens (four characters each), and `protected` passages.

    What stands between `<keep>` and `</keep>`, and what one of the regular expressions in `protected` matches, is left exactly as it is.
    """

    max_words: int | None = None
    max_tokens: int | None = None
    protected: Sequence[str] = ()

    def __post_init__(self) -> None:
        for name in ("max_words", "max_tokens"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise UserError(f"{name} is a whole number from 1 on, not {value!r}")
        if isinstance(self.protected, str):
            raise UserError("protected is a list of regular expressions")
        for pattern in self.protected:
            try:
                re.compile(pattern)
            except (re.error, TypeError) as error:
                raise UserError(f"protected holds regular expressions; {pattern!r} is none: {error}") from error

    def passages(self, text: str, template_format: TemplateFormat = "double_brace") -> list[str]:
        """The protected passages of a text, in order."""
        patterns = [_MARKED, *self.protected, *([_STATEMENTS] if template_format == "jinja2" else [])]
        return [match[0] for pattern in patterns for match in re.finditer(pattern, text) if match[0]]

    def fault_of_length(self, text: str, baseline: str) -> str | None:
        """Why a text is too long, or None. A limit that the baseline breaks already holds at the baseline's length."""
        for limit, count, unit in ((self.max_words, _words, "words"), (self.max_tokens, _tokens, "tokens")):
            if limit is not None and count(text) > max(limit, count(baseline)):
                return f"it has {count(text)} {unit}, over the limit of {max(limit, count(baseline))}"
        if self.max_words is None and self.max_tokens is None and len(text) > len(baseline) + _MAX_GROWTH:
            return f"it has {len(text)} characters, over the limit of {len(baseline) + _MAX_GROWTH}"
        return None

    def rules(self, baseline: str, template_format: TemplateFormat = "double_brace") -> list[str]:
        """The same, as the reflection model is told."""
        said = [] if self.max_words is None else [f"Use {self.max_words} words at most."]
        said += [] if self.max_tokens is None else [f"Use {self.max_tokens * _CHARACTERS} characters at most."]
        kept = "\n".join(dict.fromkeys(self.passages(baseline, template_format)))
        return [*said, *([f"Leave these passages exactly as they are:\n{kept}"] if kept else [])]


def fault_of(
    text: str,
    baseline: str,
    current: str,
    constraints: Constraints | None = None,
    template_format: TemplateFormat = "double_brace",
) -> str | None:
    """Why `text` may not replace a component, or None.

    It is empty, unchanged or too long, its variables differ from the baseline's, or a protected passage of the baseline is not in it.
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
    return -(-len(text) // _CHARACTERS)
