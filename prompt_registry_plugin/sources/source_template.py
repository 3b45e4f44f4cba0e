"""A template that was found in the source of a program, and what a search for the source of a text returns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from prompt_registry_plugin.sources.texts import Kind


@dataclass(frozen=True, slots=True)
class SourceTemplate:
    """A template as a program's source has it."""

    name: str
    """Where it stands, the same in every process: `package/module.CONSTANT`, `module.function`, `module.Class.ATTRIBUTE`,
    `module.DICTIONARY.key`; of a file, its name without the extension, and the key in it."""
    template: str
    """The template, in the `double_brace` dialect."""
    kind: Kind
    """How the program builds the text."""
    file: str
    line: int
    """Line of the definition, from 1; 0 in a data file."""
    variables: Mapping[str, str] = field(default_factory=dict)
    """The expression that fills each variable, as its source or the field's name has it."""
    alternatives: tuple[str, ...] = ()
    """Other templates that the same place yields, such as those of another branch."""

    @property
    def place(self) -> str:
        """The file and line, to show."""
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Found:
    """The template that a text was rendered from: rendering it with `values` gives the text."""

    template: SourceTemplate
    values: Mapping[str, str]
    nested: Mapping[str, Found] = field(default_factory=dict)
    """By variable: the source of a value that was itself rendered from a template."""


@dataclass(frozen=True, slots=True)
class NotFound:
    """No template of the sources is certain to have made a text."""

    reason: str
    """A sentence, or several, to show."""
    candidates: tuple[SourceTemplate, ...] = ()
    """Templates between which the text does not decide."""
    is_near: bool = False
    """Whether a template with words of its own may have made the text, but cannot be told apart from chance."""
