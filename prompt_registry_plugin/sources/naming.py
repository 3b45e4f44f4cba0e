"""Names the texts that were found, and makes templates of them: each as it is, and as each kind of template that it may be."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from prompt_registry_plugin.sources.fields import readings
from prompt_registry_plugin.sources.modules import SourceModule
from prompt_registry_plugin.sources.places import FoundText
from prompt_registry_plugin.sources.source_template import SourceTemplate
from prompt_registry_plugin.sources.texts import Text, merge_touching, shown
from prompt_registry_plugin.sources.variables import name_holes
from prompt_registry_plugin.templates.pattern import MIN_LITERAL, letters
from prompt_registry_plugin.templates.text import to_source

_MAX_NAME = 200
_UNNAMED = re.compile(r"value_\d+")


def name_templates(found: Iterable[tuple[SourceModule, FoundText]], modules: Mapping[str, SourceModule]) -> list[SourceTemplate]:
    """Return the templates of texts that were found, each with its name, without repetitions. `modules` are by import name."""
    made: dict[tuple[str, object], SourceTemplate] = {}
    numbers: dict[str, list[object]] = {}  # by name: the places, and the texts of one, that share it
    for module, place in sorted(found, key=lambda each: (each[0].name, each[1].line)):
        group = [template for text in place.texts for template in _readings(text, module, place, modules, numbers)]
        if len(place.texts) > 1:
            sources = dict.fromkeys(template.template for template in group)
            group = [replace(each, alternatives=tuple(s for s in sources if s != each.template)) for each in group]
        for template in group:
            key = (template.name, _shape(template))
            if key not in made or _names_more(template, made[key]):
                made[key] = template
    return list(made.values())


def _readings(
    text: Text, module: SourceModule, place: FoundText, modules: Mapping[str, SourceModule], numbers: dict[str, list[object]]
) -> list[SourceTemplate]:
    definition = text.definition
    owner = modules.get(definition.module, module) if definition else module
    line = definition.line if definition else text.line or place.line
    name = prompt_name(owner.name, definition.names if definition else place.names)
    made = [
        template_of(each, name, owner.file, line) for each in (readings(text) if text.kind != "docstring" else [text])
    ]
    kept = [template for template in made if template is not None]
    if not kept:
        return []
    if letters(text.literals, MIN_LITERAL) < MIN_LITERAL:
        return kept  # too short to be found, so that it takes no number from one that is
    places = numbers.setdefault(name, [])
    here = definition or (module.name, place.line, "".join(text.literals).split())
    if here not in places:
        places.append(here)
    number = places.index(here) + 1
    return kept if number == 1 else [replace(template, name=f"{name}-{number}") for template in kept]


def template_of(text: Text, name: str, file: str, line: int) -> SourceTemplate | None:
    """Return the template of a text, or None if there is nothing in it that tells it from others.

    Holes that touch become one variable. A text without holes is a template from two words on.
    """
    text = merge_touching(text)
    is_constant = not text.holes
    if letters(text.literals, MIN_LITERAL) < (MIN_LITERAL if is_constant else 1):
        return None
    if is_constant and len("".join(text.literals).split(None, 1)) < 2:
        return None
    names = name_holes(text.holes)
    source = to_source((part, None) if isinstance(part, str) else ("", names[part.key]) for part in text.parts)
    return SourceTemplate(name, source, text.kind, file, line, {names[hole.key]: shown(hole) for hole in text.holes})


def prompt_name(module: str, names: Sequence[str]) -> str:
    """Return the name of a prompt in a module, `folder/module` by its path: `folder/module.name.name`."""
    *folders, last = (re.sub(r"[^A-Za-z0-9_.\-]+", "-", part).strip("-.") or "module" for part in module.split("/"))
    parts = (re.sub(r"[^A-Za-z0-9_\-]+", "-", part).strip("-") for part in names)
    return "/".join([*folders, ".".join([last, *(part for part in parts if part)])])[:_MAX_NAME].rstrip("-./")


def _shape(template: SourceTemplate) -> object:
    """Return what is the same in two templates that differ only in the names of their variables."""
    order = {name: str(i) for i, name in enumerate(template.variables)}
    return re.sub(r"\{\{([A-Za-z_]\w*)\}\}", lambda found: f"{{{{{order.get(found[1], found[1])}}}}}", template.template)


def _names_more(template: SourceTemplate, other: SourceTemplate) -> bool:
    """Whether a template was found where its values are passed, and the other one by its text alone."""
    return any(map(_UNNAMED.fullmatch, other.variables)) and not any(map(_UNNAMED.fullmatch, template.variables))
