"""MLflow's filters of prompts in our language, as far as they differ."""

from __future__ import annotations

import re

from prompt_registry_plugin.mlflow.linking import EXPERIMENTS

_QUOTED = r"""('[^']*'|"[^"]*")"""
_ONE_NAME = re.compile(rf"\s*name\s*=\s*{_QUOTED}\s*")
_CATALOG = re.compile(rf"\s*catalog\s*=\s*{_QUOTED}\s+AND\s+schema\s*=\s*{_QUOTED}\s*(?:AND\s+(.+))?", re.IGNORECASE | re.DOTALL)
_EXPERIMENT = re.compile(rf"""\bexperiment_id\s*=\s*{_QUOTED}|{_QUOTED}""")


def name_in(filter_string: str) -> str | None:
    """The name in `name = 'x'`, where that is all."""
    match = _ONE_NAME.fullmatch(filter_string)
    return match[1][1:-1] if match else None


def in_our_language(filter_string: str | None) -> tuple[str | None, str]:
    """(the filter, how the names that match begin). `catalog` and `schema` are the first parts of a name here."""
    prefix = ""
    if filter_string is not None and (match := _CATALOG.fullmatch(filter_string)):
        prefix = f"{match[1][1:-1]}.{match[2][1:-1]}."
        like = f"name LIKE '{prefix}%'"
        filter_string = f"{like} AND ({match[3]})" if match[3] else like
    return filter_string and _EXPERIMENT.sub(_in_experiment, filter_string), prefix


def _in_experiment(match: re.Match[str]) -> str:
    if match[1] is None:
        return match[0]  # a text that stands in quotes
    experiment = match[1][1:-1].replace("'", "''")
    return f"tags.{EXPERIMENTS} LIKE '%,{experiment},%'"
