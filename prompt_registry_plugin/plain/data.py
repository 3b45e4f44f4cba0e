"""Plain data from any object: what a scorer, a dataset or another process gets instead of a framework's or a user's object.

| object | plain data |
|---|---|
| model of pydantic, dataclass, attrs class, named tuple, msgspec struct | a mapping of its fields |
| message of a framework | a mapping with role, content and tool calls |
| response of a model's SDK, result of an agent's run | the answer that it holds |
| enum | its value |
| date, time | ISO text; a duration is a number of seconds |
| `Decimal`, `Fraction` | a number, or text where a number would lose digits |
| UUID, path, address | text |
| bytes | text; Base64 if they are not UTF-8 |
| tuple, set, other sequences | a list; that of a set is sorted |
| scalar, array and table of numpy, pandas, polars or torch | numbers, lists and mappings |
"""

from __future__ import annotations

import base64
import datetime
import decimal
import enum
import fractions
import ipaddress
import json
import pathlib
import re
import types
import uuid
import zoneinfo
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from prompt_registry_plugin.errors import NotPlainData
from prompt_registry_plugin.plain.fields import field_values
from prompt_registry_plugin.plain.messages import inner_answer, message_data, protocol_message, tool_call_data

_SCALARS = (type(None), bool, int, float, str)
_AS_TEXT = (
    uuid.UUID,
    pathlib.PurePath,
    zoneinfo.ZoneInfo,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
)
# Types of other packages whose `str` is the value: addresses of pydantic, yarl and httpx.
_TEXT_NAMES = re.compile(r"(Url|URL|Dsn|URI|ULID|ObjectId|Version)$")
_MOST_DIGITS = 400  # before or behind the point: more than a float can have
_MAX_DEPTH = 100  # containers in containers; a deeper answer is a circle of objects that are made on the way


Steps = Sequence[Callable[[Any], Any]]


class UnorderedList(list[Any]):
    """The list of a set: comparisons of scorers ignore its order."""


class NamedFields(dict[str, Any]):
    """The fields of a named tuple: comparisons of scorers accept a list of its values as well."""


def plain_data(value: Any, what: str = "The answer", *, is_input: bool = False) -> Any:
    """Return `value` as JSON data: text, numbers, bools, None, lists and mappings with text as keys. JSON data is returned equal.

    With `is_input`, messages are complete, as a framework takes them: with ids, and with images and other parts.

    Raises `NotPlainData`, with `what` and the place in it, for an object without a plain form.
    """
    return _plain(value, what, (), (_input_message, *_STEPS) if is_input else _STEPS)


def is_plain(value: Any) -> bool:
    """Return whether `value` is JSON data already."""
    if isinstance(value, dict):
        return all(type(key) is str and is_plain(item) for key, item in value.items())
    return all(map(is_plain, value)) if isinstance(value, list) else type(value) in _SCALARS


def _plain(value: Any, place: str, inside: tuple[int, ...], steps: Steps) -> Any:
    if type(value) in _SCALARS:
        return value
    if id(value) in inside:
        raise NotPlainData(f"{place} holds itself, so it has no plain form.")
    if len(inside) > _MAX_DEPTH:
        raise NotPlainData(f"{place} is nested more than {_MAX_DEPTH} levels deep.")
    try:
        found = _converted(value, steps)
    except NotPlainData:
        raise
    except Exception as error:  # a user's object may raise anything from any method
        raise NotPlainData(
            f"{place} is of the type {_type_name(value)}, and cannot be read: {type(error).__name__}: {error}"
        ) from error
    if found is NOTHING:
        raise NotPlainData(f"{place} is of the type {_type_name(value)}, which has no plain form.")
    inside = (*inside, id(value))
    if isinstance(found, dict):
        return _plain_mapping(found, place, inside, steps)
    if isinstance(found, list):
        items = [_plain(item, f"{place}[{i}]", inside, steps) for i, item in enumerate(found)]
        return UnorderedList(sorted(items, key=_sort_key)) if isinstance(found, UnorderedList) else items
    return found if type(found) in _SCALARS else _plain(found, place, inside, steps)


def _plain_mapping(found: dict[Any, Any], place: str, inside: tuple[int, ...], steps: Steps) -> dict[str, Any]:
    made: dict[str, Any] = NamedFields() if isinstance(found, NamedFields) else {}
    for key, item in found.items():
        name = _key(key, place)
        if name in made:
            raise NotPlainData(f"Two keys of {place} are both {name!r} as text. Give them different names.")
        made[name] = _plain(item, f"{place}.{name}", inside, steps)
    return made


NOTHING: Any = object()
"""What a form is if there is none."""


def _converted(value: Any, steps: Steps) -> Any:
    """Return `value` one step nearer to plain data; a mapping or list may hold objects still. Return `NOTHING` if there is no way."""
    for convert in steps:
        if (found := convert(value)) is not NOTHING:
            return found
    return NOTHING


def scalar_form(value: Any) -> Any:
    """Return the plain form of an enum, text, number or bytes, or `NOTHING`."""
    if isinstance(value, enum.Enum):
        return value.value
    if isinstance(value, str):
        return str.__str__(value)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, bytes | bytearray | memoryview):
        content = bytes(value)
        try:
            return content.decode()
        except UnicodeDecodeError:
            return base64.b64encode(content).decode()
    if isinstance(value, decimal.Decimal | fractions.Fraction):
        return _number(value)
    return NOTHING


def _number(value: decimal.Decimal | fractions.Fraction) -> int | float | str:
    """Return a number that is exactly this one, or its text."""
    if isinstance(value, decimal.Decimal) and not value.is_finite():
        return str(value)
    if isinstance(value, decimal.Decimal) and abs(value.adjusted()) > _MOST_DIGITS:
        return str(value)  # `int` of such a number takes seconds, and a model may write it
    whole = int(value)
    if value == whole and abs(whole) < 2**53:
        return whole
    near = float(value)
    is_exact = decimal.Decimal(repr(near)) == value if isinstance(value, decimal.Decimal) else fractions.Fraction(near) == value
    return near if is_exact else str(value)


def time_or_text_form(value: Any) -> Any:
    """Return the plain form of a date, a time, or an object that is known by its text, or `NOTHING`."""
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat() if value == value else None  # a missing time of pandas is not equal to itself
    if isinstance(value, datetime.timedelta):
        seconds = value.total_seconds()
        return None if seconds != seconds else int(seconds) if seconds == int(seconds) else seconds
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, complex):
        return str(value)
    if isinstance(value, re.Pattern):
        return value.pattern
    if isinstance(value, BaseException):
        return f"{type(value).__name__}: {value}"
    return NOTHING


def _message(value: Any) -> Any:
    """Return the content of a message, a tool call, a model's response, or the result of an agent's run."""
    if isinstance(value, type):
        return NOTHING
    for read in (message_data, tool_call_data, inner_answer):
        if (found := read(value)) is not None:
            return found[0]
    return NOTHING


def _input_message(value: Any) -> Any:
    found = protocol_message(value)
    return NOTHING if found is None else found[0]


def _container(value: Any) -> Any:
    if isinstance(value, Mapping):
        return NamedFields(value) if isinstance(value, NamedFields) else dict(value)
    if isinstance(value, tuple) and hasattr(value, "_fields") and hasattr(value, "_asdict"):
        return NamedFields(zip(value._fields, value, strict=True))
    if isinstance(value, Set | UnorderedList):
        return UnorderedList(value)
    if isinstance(value, Sequence) or type(value).__name__ == "deque":
        return list(value)
    return NOTHING


def _array(value: Any) -> Any:
    """Return the data of numpy, pandas, polars or torch, known by their methods."""
    if isinstance(value, type):
        return NOTHING
    if type(value).__name__ == "NAType":
        return None
    if callable(getattr(value, "to_dicts", None)):
        return value.to_dicts()
    if hasattr(value, "columns") and callable(getattr(value, "to_dict", None)):
        return value.to_dict("records")
    for method in ("tolist", "to_list"):
        if callable(getattr(value, method, None)):
            found = getattr(value, method)()
            return NOTHING if found is value else found
    return NOTHING


def _fields(value: Any) -> Any:
    if hasattr(value, "get_secret_value"):
        return str(value)  # pydantic shows asterisks
    if getattr(type(value), "__pydantic_root_model__", False):
        return value.root
    found = field_values(value)
    return NOTHING if found is None else found


def _by_method(value: Any) -> Any:
    """Return what an object's own method for plain data returns."""
    if isinstance(value, type | types.ModuleType | types.FunctionType | types.MethodType):
        return NOTHING
    for method in ("model_dump", "to_dict", "as_dict", "_asdict", "toDict", "dict", "__json__"):
        made = getattr(type(value), method, None)
        if callable(made):
            found = made(value)
            return NOTHING if found is value else found
    if callable(getattr(type(value), "keys", None)) and hasattr(type(value), "__getitem__"):  # a row of a database
        return {key: value[key] for key in value.keys()}  # noqa: SIM118  such a row iterates over its values
    if _TEXT_NAMES.search(type(value).__name__) and "__str__" in {
        name for base in type(value).__mro__[:-1] for name in vars(base)
    }:
        return str(value)
    return NOTHING


_STEPS: Steps = (scalar_form, time_or_text_form, _message, _container, _array, _fields, _by_method)


def _key(key: Any, place: str) -> str:
    """Return the text of a mapping's key, as JSON writes it."""
    found = _plain(key, f"a key of {place}", (), _STEPS)
    if isinstance(found, str):
        return found
    return json.dumps(found, sort_keys=True)


def _sort_key(value: Any) -> str:
    return json.dumps(value, sort_keys=True)


def _type_name(value: Any) -> str:
    kind = type(value)
    return kind.__qualname__ if kind.__module__ in ("builtins", "__main__") else f"{kind.__module__}.{kind.__qualname__}"
