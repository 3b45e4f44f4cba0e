"""Finds the template in a program's source that a text was rendered from."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

from prompt_registry_plugin.errors import InvalidTemplate
from prompt_registry_plugin.sources.files import DataFiles, read_files
from prompt_registry_plugin.sources.modules import SourceModule, loaded_modules
from prompt_registry_plugin.sources.reading import Program, read_program
from prompt_registry_plugin.sources.source_template import Found, NotFound, SourceTemplate
from prompt_registry_plugin.templates.pattern import Pattern, letters
from prompt_registry_plugin.templates.pattern_index import Match, PatternIndex

logger = logging.getLogger(__name__)

MAX_TEXT = 1_000_000
"""Characters of a text whose source is looked for."""
MIN_INSIDE = 40
"""Letters and digits that a template needs to be found within a longer text."""
_MAX_DEPTH = 4

Prefer = Callable[[SourceTemplate], bool]


class Sources:
    """The templates of a program, searched by text. Immutable; safe to use from any thread."""

    def __init__(self, modules: Sequence[SourceModule], problems: Sequence[str] = ()) -> None:
        self._modules = modules
        self._program: Program = read_program(modules)
        self._given = tuple(problems)
        self.problems: tuple[str, ...] = (*problems, *self._program.problems)
        """A sentence for each module that has no source to read."""
        code = [template for template in self._program.templates if template.kind != "docstring"]
        self._code = _Index(code)
        self._docstrings = _Index([template for template in self._program.templates if template.kind == "docstring"])

    def is_current(self, modules: Sequence[SourceModule], problems: Sequence[str]) -> bool:
        """Return whether these would be the sources of `modules`, whose files may have changed."""
        return self._program is read_program(modules) and self._given == tuple(problems)

    @property
    def templates(self) -> Sequence[SourceTemplate]:
        """The templates in the modules, docstrings included."""
        return self._program.templates

    @cached_property
    def files(self) -> DataFiles:
        """The templates in data files beside the modules, read when one of the modules has no template for a text."""
        return read_files(module.file for module in self._modules if not module.cells)

    @cached_property
    def _stripped(self) -> _Index:
        """The templates with space at an end, without it: frameworks remove it."""
        templates = [
            (template, template.template.strip()) for template in self._program.templates if template.kind != "docstring"
        ]
        return _Index([replace(template, template=text) for template, text in templates if text != template.template])

    @cached_property
    def _files(self) -> _Index:
        return _Index(self.files.templates)

    def find(self, text: str, *, inside: bool = False, prefer: Prefer | None = None) -> Found | NotFound:
        """Return the template that `text` was rendered from, with its values, or why none is certain.

        If several templates give the text equally well, `prefer` may choose one, such as that of the file that sent the text.

        With `inside`, a template that is only a part of the text is found too, if none gives the whole: what is before and after
        it becomes variables `text_before` and `text_after`. Never raises.
        """
        try:
            return self._find(text, inside, prefer, _MAX_DEPTH)
        except Exception as error:  # a boundary: what goes wrong here must not reach the agent
            logger.debug("looking for the source of a text failed", exc_info=True)
            return NotFound(f"Looking for the source of the text failed: {type(error).__name__}: {error}.")

    def has_constant(self, text: str) -> bool:
        """Return whether a docstring or another text without variables has `text` in it, word by word."""
        text = text.strip()
        return any(not template.variables and text in template.template for template in self.templates)

    def _find(self, text: str, inside: bool, prefer: Prefer | None, depth: int) -> Found | NotFound:
        if not text.strip():
            return NotFound("The text is empty.")
        if len(text) > MAX_TEXT:
            return NotFound(f"The text has more than {MAX_TEXT:,} characters.")
        indexes: list[Callable[[], _Index]] = [
            lambda: self._code,
            lambda: self._stripped,
            lambda: self._docstrings,
            lambda: self._files,
        ]
        for index in indexes:
            result = index().find(text, prefer)
            if inside and isinstance(result, Found):
                result = index().find_longer_inside(text, result, prefer) or result
            if result is not None:
                return self._with_nested(result, inside, prefer, depth) if isinstance(result, Found) else result
        if inside and (result := self._code.find_inside(text, prefer) or self._files.find_inside(text, prefer)):
            return self._with_nested(result, inside, prefer, depth) if isinstance(result, Found) else result
        near = [reason for index in indexes if (reason := index().why_not(text))]
        return NotFound(" ".join([*near, self._where_looked()]), is_near=bool(near))

    def _with_nested(self, found: Found, inside: bool, prefer: Prefer | None, depth: int) -> Found:
        if depth == 0:
            return found
        nested = {
            name: self._find(value, inside, prefer, depth - 1) for name, value in found.values.items() if letters([value], 8) >= 8
        }
        return replace(found, nested={name: each for name, each in nested.items() if isinstance(each, Found)})

    def _where_looked(self) -> str:
        looked = (
            f"No template in {self._program.modules} modules and {self.files.files} data files gives this text exactly."
            if self._program.modules
            else "There are no modules whose source can be read."
        )
        return " ".join([looked, *self.problems[:3]])


class _Index:
    """Templates by pattern, with the reasons for those that have none."""

    def __init__(self, templates: Sequence[SourceTemplate]) -> None:
        self._templates = templates
        patterns: dict[int, Pattern] = {}
        self._refused: list[tuple[Pattern, str]] = []
        for i, template in enumerate(templates):
            try:
                patterns[i] = Pattern.from_template(template.template, where=f"{template.name} ({template.place})")
            except InvalidTemplate as error:
                self._refuse(template.template, str(error))
        self._patterns = patterns
        self._index = PatternIndex(patterns)

    def find(self, text: str, prefer: Prefer | None) -> Found | NotFound | None:
        matches = self._index.matches(text) or self._index.merged(text)
        if not matches:
            return None
        best = [match for match in matches if match.pattern.weight == matches[0].pattern.weight]
        same = self._same_text(best)
        chosen = _choose([self._templates[match.key] for match in best], prefer) if same is None else same
        if isinstance(chosen, NotFound):
            return chosen
        template, pattern = self._templates[best[chosen].key], best[chosen].pattern
        if pattern.template != template.template:
            merged = {name: template.variables.get(name, "several values") for name in pattern.names}
            template = replace(template, template=pattern.template, variables=merged)
        return Found(template, best[chosen].values)

    def _same_text(self, best: Sequence[Match[int]]) -> int | None:
        """Return the place of the plainest template if all are readings of one text of one file; None if they are not.

        Such as a constant, and what the functions that fill it in make of it: their words are the same.
        """
        templates = [self._templates[match.key] for match in best]
        if len({(t.file, tuple(filter(None, match.pattern.literals))) for t, match in zip(templates, best, strict=True)}) > 1:
            return None
        if len({template.line for template in templates if template.kind not in ("replace", "sum")}) > 1:
            return None  # two constants with the same text are two prompts
        return min(range(len(best)), key=lambda i: (len(best[i].pattern.names), len(templates[i].name)))

    def find_longer_inside(self, text: str, whole: Found, prefer: Prefer | None) -> Found | None:
        """Return a template that is one end of the text and explains more of it than `whole` does.

        It is the source of a text to which something was added, where a shorter template happens to fit the whole.
        """
        pattern = Pattern.from_template(whole.template.template, minimum=0)
        part = self.find_inside(text, prefer, pattern.weight)
        if not isinstance(part, Found):
            return None
        is_end = ("text_before" in part.values) != ("text_after" in part.values)
        shared = pattern.literals[0] if "text_after" in part.values else pattern.literals[-1]
        return part if is_end and letters([shared], 1) else None

    def find_inside(self, text: str, prefer: Prefer | None, longer_than: int = 0) -> Found | NotFound | None:
        found: list[tuple[int, Found]] = []
        for i, pattern in self._patterns.items():
            first, last = pattern.literals[0], pattern.literals[-1]
            if (
                pattern.weight <= longer_than
                or max(pattern.literals, key=len) not in text
                or letters(pattern.literals, MIN_INSIDE) < MIN_INSIDE
            ):
                continue
            before, after = not text.startswith(first), not text.endswith(last)
            if (before and letters([first], 8) < 8) or (after and letters([last], 8) < 8):
                continue
            wider = _widened(pattern, before, after)
            values = wider.match(text)
            if values is not None and _ends_at_words(values, first, last):
                template = self._templates[i]
                variables = {**template.variables, **{name: "the text around it" for name in values if name.startswith("text_")}}
                template = replace(template, template=wider.template, variables=variables)
                found.append((pattern.weight, Found(template, values)))
        if not found:
            return None
        most = max(weight for weight, _ in found)
        best = [each for weight, each in found if weight == most]
        chosen = _choose([each.template for each in best], prefer)
        return chosen if isinstance(chosen, NotFound) else best[chosen]

    def why_not(self, text: str) -> str:
        """Return why a template whose pieces are in the text does not count, or an empty string."""
        for i, pattern in self._patterns.items():
            if reason := pattern.why_not(text):
                return f"{self._templates[i].name} ({self._templates[i].place}) may have made this text, but {reason}."
        return next((reason for pattern, reason in self._refused if pattern.match(text) is not None), "")

    def _refuse(self, template: str, reason: str) -> None:
        """Remember why a template has no pattern, to tell whoever looks for a text that it gives."""
        with suppress(InvalidTemplate):  # two variables with nothing between them fit too many texts to say anything
            pattern = Pattern.from_template(template, minimum=0)
            if letters(pattern.literals):  # variables alone fit every text
                self._refused.append((pattern, reason))


def _choose(templates: Sequence[SourceTemplate], prefer: Prefer | None) -> int | NotFound:
    """Return the place of the template to use, if all have one name, or one is preferred; else the reason, which names them."""
    preferred = [i for i, template in enumerate(templates) if prefer is not None and prefer(template)]
    for places in (range(len(templates)), preferred):
        if len({templates[i].name for i in places}) == 1:
            return places[0]
    by_name = {template.name: template for template in templates}
    named = [f"{template.name} ({template.place})" for template in by_name.values()]
    shown = f"{', '.join(named[:3])} and {len(named) - 3} more" if len(named) > 3 else " and ".join(named)
    return NotFound(f"{len(named)} templates give this text equally well: {shown}.", tuple(by_name.values()))


def _widened(pattern: Pattern, before: bool, after: bool) -> Pattern:
    template, literals, names = pattern.template, pattern.literals, pattern.names
    if before:
        template, literals, names = "{{text_before}}" + template, ("", *literals), ("text_before", *names)
    if after:
        template, literals, names = template + "{{text_after}}", (*literals, ""), (*names, "text_after")
    return Pattern(template, literals, names)


def _ends_at_words(values: dict[str, str], first: str, last: str) -> bool:
    """Whether a part of a text begins and ends where words do."""
    before, after = values.get("text_before", ""), values.get("text_after", "")
    return not (before[-1:].isalnum() and first[:1].isalnum()) and not (after[:1].isalnum() and last[-1:].isalnum())


_last: Sources | None = None


def read_sources() -> Sources:
    """Return the templates of the user's modules that are loaded now. What did not change since the last call is not read again.

    Never raises: what cannot be read is in `Sources.problems`.
    """
    global _last
    try:
        modules, problems = loaded_modules()
        if _last is None or not _last.is_current(modules, problems):
            _last = Sources(modules, problems)
        return _last
    except Exception as error:  # a boundary: what goes wrong here must not reach the agent
        logger.debug("reading the sources of the program failed", exc_info=True)
        return Sources([], [f"Reading the sources failed: {type(error).__name__}: {error}."])
