"""YAML loaders that build nothing but what JSON can hold: YAML 1.1, as Python's tools read it, and the core schema of YAML 1.2."""

from __future__ import annotations

import re
from typing import Any

import yaml

_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NOT_JSON = ("binary", "timestamp", "omap", "pairs", "set")


class Loader11(_Base):  # type: ignore[misc]
    """YAML 1.1. A date stays the text that it is written as."""


class Loader12(_Base):  # type: ignore[misc]
    """YAML 1.2: `yes`, `on`, `12:30` and `1_000` are strings; `0o17` is a number."""


def _int(loader: Any, node: yaml.ScalarNode) -> int:
    text = str(loader.construct_scalar(node))
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


def _float(loader: Any, node: yaml.ScalarNode) -> float:
    return float(str(loader.construct_scalar(node)).lower().replace(".inf", "inf").replace(".nan", "nan"))


def _set_up(loader: Any, implicit: dict[str, tuple[str, str]] | None) -> None:
    constructors = dict(loader.yaml_constructors)
    for name in _NOT_JSON:
        constructors.pop(f"tag:yaml.org,2002:{name}", None)
    loader.yaml_constructors = constructors
    if implicit is None:
        loader.yaml_implicit_resolvers = {
            first: [(tag, pattern) for tag, pattern in found if not tag.endswith(":timestamp")]
            for first, found in loader.yaml_implicit_resolvers.items()
        }
        return
    loader.yaml_implicit_resolvers = {}
    for name, (pattern, first) in implicit.items():
        loader.add_implicit_resolver(f"tag:yaml.org,2002:{name}", re.compile(pattern), list(first) or None)


_set_up(Loader11, None)
_set_up(
    Loader12,
    {
        "null": (r"^(?:~|null|Null|NULL|)$", ""),
        "bool": (r"^(?:true|True|TRUE|false|False|FALSE)$", "tTfF"),
        "int": (r"^(?:[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+)$", "-+0123456789"),
        "float": (
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$",
            "-+0123456789.",
        ),
    },
)
Loader12.add_constructor("tag:yaml.org,2002:int", _int)
Loader12.add_constructor("tag:yaml.org,2002:float", _float)

LOADERS: dict[str, Any] = {"1.1": Loader11, "1.2": Loader12}
"""The loader class for each version of YAML."""
