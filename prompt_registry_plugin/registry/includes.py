"""Expanding the includes of one version, and of the prompts that it includes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from prompt_registry_plugin import uri
from prompt_registry_plugin.errors import InvalidTemplate, InvalidURI, PromptNotFound
from prompt_registry_plugin.prompts.version import PromptVersion
from prompt_registry_plugin.records import Template
from prompt_registry_plugin.templates.includes import MAX_DEPTH, expand_includes

_MAX_TEXT = 1_000_000
"""Characters of an expanded include: ten levels that each include the next one twice double a text ten times."""


class Expansion:
    """One version whose includes are expanded. Each included version is expanded once, however often it is included."""

    def __init__(
        self,
        version: PromptVersion,
        find: Callable[[uri.PromptURI], PromptVersion],
        candidate: Callable[[str], Template | None],
    ) -> None:
        self._version = version
        self._find = find
        self._candidate = candidate
        self._included: dict[str, PromptVersion] = {}  # by URI, in the order in which they are met
        self._texts: dict[str, str] = {}  # their expanded texts

    def expand(self) -> PromptVersion:
        """Return the version with expanded includes. Raises `InvalidTemplate` if one is missing or forms a cycle."""
        version = self._version
        template = expand_includes(version.template, version.uri, lambda reference: self._text_of(reference, (version.uri,)))
        # One include from the last good copy makes the whole text as old as that copy.
        sources = (included.served_from for included in self._included.values())
        served = next((source for source in sources if source != "registry"), version.served_from)
        return replace(version, template=template, source=version.template, includes=tuple(self._included), served_from=served)

    def _text_of(self, reference: str, path: tuple[str, ...]) -> str:
        """Return the expanded text of an include; `path` has the URIs from the version to the prompt that includes it."""
        where = f"{path[0] if self._version.version else self._version.name}, which includes {reference!r}"
        try:
            found = self._find(uri.parse_include(reference))
        except (InvalidURI, PromptNotFound) as error:
            raise InvalidTemplate(f"cannot put together {where}: {error}") from error
        template = self._check(found, path, where)
        self._included[found.uri] = found
        if found.uri not in self._texts:
            text = expand_includes(template, found.uri, lambda inner: self._text_of(inner, (*path, found.uri)))
            assert isinstance(text, str)  # it returns a text for a text
            self._texts[found.uri] = text
        if len(self._texts[found.uri]) > _MAX_TEXT:
            raise InvalidTemplate(f"cannot put together {where}: that alone is over {_MAX_TEXT:,} characters")
        return self._texts[found.uri]

    def _check(self, found: PromptVersion, path: tuple[str, ...], where: str) -> str:
        """Return the template to include. Raises `InvalidTemplate` for a cycle, for too many levels, and for what is not a text."""
        # A draft has no number yet. If it includes another version of its own name, that may be itself once it is registered.
        if found.uri in path or (self._version.version == 0 and found.name == self._version.name):
            raise InvalidTemplate(f"cannot put together {where}: it includes itself, by way of {' → '.join([*path, found.uri])}")
        if len(path) > MAX_DEPTH:
            raise InvalidTemplate(f"cannot put together {where}: includes are nested more than {MAX_DEPTH} deep")
        template = self._candidate(found.name) or found.template
        if not isinstance(template, str) or found.template_format != "double_brace":
            raise InvalidTemplate(f"cannot put together {where}: only texts in double braces can be included, and that is none")
        return template
