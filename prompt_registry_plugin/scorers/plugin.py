"""The built-in scorers, by name."""

from __future__ import annotations

from collections.abc import Sequence

from prompt_registry_plugin.hookspecs import hookimpl
from prompt_registry_plugin.protocols import Scorer


@hookimpl
def prompt_registry_scorers() -> Sequence[Scorer]:
    """`exact_match`, and `equivalence` without a judge."""
    from prompt_registry_plugin.scorers.builtin import exact_match
    from prompt_registry_plugin.scorers.equivalence import Equivalence

    return [exact_match, Equivalence()]
