"""Where a program's prompts come from: its source, read as syntax trees and data files. No code of the user is imported or run.

`read_sources()` reads the modules that are loaded, `Sources.find(text)` returns the template that a text was rendered from. Where there
is no source, `infer_template` compares texts of one place, and `rendered_signs` tells that a text has values in it.
"""

from __future__ import annotations

from prompt_registry_plugin.sources.finding import Sources, read_sources
from prompt_registry_plugin.sources.inference import Inferred, NotInferred, infer_template
from prompt_registry_plugin.sources.modules import SourceModule, loaded_modules, module_of
from prompt_registry_plugin.sources.rendered import Sign, rendered_signs
from prompt_registry_plugin.sources.source_template import Found, NotFound, SourceTemplate

__all__ = [
    "Found",
    "Inferred",
    "NotFound",
    "NotInferred",
    "Sign",
    "SourceModule",
    "SourceTemplate",
    "Sources",
    "infer_template",
    "loaded_modules",
    "module_of",
    "read_sources",
    "rendered_signs",
]
