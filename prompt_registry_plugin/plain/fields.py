"""Objects with named fields: dataclasses, models of pydantic, attrs classes and msgspec structs, in both directions."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import inspect
import pathlib
import types
import typing
import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NamedTuple


class FieldNames(NamedTuple):
    """The fields that an object of a type is made from."""

    names: frozenset[str]
    """All of them."""
    required: frozenset[str]
    """Those without a default."""


def field_values(value: Any) -> dict[str, Any] | None:
    """Return the fields of an object by name, which may be objects themselves; None for an object of another kind."""
    kind = type(value)
    if not isinstance(value, type) and _is_pydantic(kind) and _dumps_otherwise(kind):
        found = value.model_dump()
        return found if isinstance(found, dict) else {"value": found}
    return stored_fields(value)


def stored_fields(value: Any) -> dict[str, Any] | None:
    """Return the same without calling anything: fields as an object holds them, not as its model writes them."""
    kind = type(value)
    if isinstance(value, type):
        return None
    if _is_pydantic(kind):
        return _model_fields(value)
    if dataclasses.is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in dataclasses.fields(value) if hasattr(value, field.name)}
    if hasattr(kind, "__attrs_attrs__"):
        return {field.name: getattr(value, field.name) for field in kind.__attrs_attrs__}
    if hasattr(kind, "__struct_fields__"):
        return {name: getattr(value, name) for name in kind.__struct_fields__}
    return dict(vars(value)) if isinstance(value, types.SimpleNamespace) else None


def hidden_fields(value: Any) -> frozenset[str]:
    """Return the fields that an object's `repr` leaves out, such as a key."""
    if _is_pydantic(type(value)):
        return frozenset(name for name, field in type(value).model_fields.items() if not getattr(field, "repr", True))
    if dataclasses.is_dataclass(value):
        return frozenset(field.name for field in dataclasses.fields(value) if not field.repr)
    return frozenset(field.name for field in getattr(type(value), "__attrs_attrs__", ()) if not field.repr)


def fields_of(kind: Any) -> FieldNames | None:
    """Return the fields that an object of this type is made from; None for a type that is not one of named fields."""
    if not isinstance(kind, type):
        return None
    if _is_pydantic(kind):
        fields: Mapping[str, Any] = kind.model_fields  # type: ignore[attr-defined]
        names = {name: str(getattr(field, "validation_alias", None) or field.alias or name) for name, field in fields.items()}
        by_name = _takes_names(kind)
        shown = {name: name if by_name else alias for name, alias in names.items()}
        return FieldNames(
            frozenset(shown.values()), frozenset(shown[name] for name, field in fields.items() if field.is_required())
        )
    if dataclasses.is_dataclass(kind) or hasattr(kind, "__attrs_attrs__") or hasattr(kind, "__struct_fields__"):
        parameters = list(inspect.signature(kind).parameters.values())
        named = [p for p in parameters if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
        return FieldNames(frozenset(p.name for p in named), frozenset(p.name for p in named if p.default is p.empty))
    if typing.is_typeddict(kind):
        return FieldNames(frozenset(kind.__annotations__), frozenset(kind.__required_keys__))  # type: ignore[attr-defined]
    return None


def build(kind: Any, values: Any) -> Any:
    """Return `values` as an object of the type `kind`, as far as that is clear; other values are returned as they are.

    A mapping becomes a dataclass, model or other type of named fields, with its fields built in the same way. Text becomes a date, a
    time, a UUID, a path, a `Decimal` or a member of an enum. Raises what the type raises for values that do not fit.
    """
    kind = _without_none(kind)
    if not isinstance(kind, type) or values is None:
        return values
    try:
        if isinstance(values, kind):
            return values
    except TypeError:  # a generic or a typed mapping
        return values
    if _is_pydantic(kind):
        return kind.model_validate(dict(values) if isinstance(values, Mapping) else values)  # type: ignore[attr-defined]
    fields = fields_of(kind)
    if fields is not None and isinstance(values, Mapping) and not typing.is_typeddict(kind):
        hints = hints_of(kind)
        return kind(**{name: build(hints.get(name), values[name]) for name in values if name in fields.names})
    if (convert := _converter(kind)) is not None and isinstance(values, str | int | float):
        return convert(values)
    return values


def hints_of(obj: Any) -> dict[str, Any]:
    """Return the types of a function's parameters or of a class's fields; nothing if a name in them cannot be found."""
    try:
        return typing.get_type_hints(obj)
    except Exception:  # noqa: BLE001  evaluating a user's annotations may raise anything
        return {}


def _converter(kind: type) -> Callable[[Any], Any] | None:
    """Return the function that makes an object of a simple type from its plain form."""
    if issubclass(kind, enum.Enum):
        return partial(_member, kind)
    if issubclass(kind, datetime.datetime | datetime.date | datetime.time):
        return kind.fromisoformat
    if issubclass(kind, datetime.timedelta):
        return lambda seconds: kind(seconds=float(seconds))
    if issubclass(kind, decimal.Decimal):
        return lambda number: kind(str(number))
    return kind if issubclass(kind, uuid.UUID | pathlib.PurePath) else None


def _member(kind: type[enum.Enum], value: Any) -> Any:
    """Return the member with this value, or else with this name."""
    try:
        return kind(value)
    except ValueError:
        if isinstance(value, str) and value in kind.__members__:
            return kind[value]
        raise


def _without_none(kind: Any) -> Any:
    """Return the type in `X | None` and `Annotated[X, …]`; others are returned as they are."""
    if typing.get_origin(kind) is typing.Annotated:
        return _without_none(typing.get_args(kind)[0])
    if typing.get_origin(kind) in (typing.Union, types.UnionType):
        left = [part for part in typing.get_args(kind) if part is not type(None)]
        return _without_none(left[0]) if len(left) == 1 else kind
    return kind


def _is_pydantic(kind: type) -> bool:
    return hasattr(kind, "model_fields") and hasattr(kind, "model_validate") and hasattr(kind, "model_dump")


def _dumps_otherwise(kind: type) -> bool:
    """Return whether a model defines how it is written, or has computed fields: only its own `model_dump` knows then."""
    written = getattr(kind, "__pydantic_decorators__", None)
    own = written is not None and (written.field_serializers or written.model_serializers or written.computed_fields)
    config = getattr(kind, "model_config", {})
    return bool(own or config.get("serialize_by_alias"))


def _model_fields(value: Any) -> dict[str, Any]:
    """Return the fields of a model as they are, so that an object in them, such as a message, is read as what it is."""
    hidden = {name for name, field in type(value).model_fields.items() if field.exclude}
    fields = {name: item for name, item in vars(value).items() if name in type(value).model_fields and name not in hidden}
    return {**fields, **(getattr(value, "__pydantic_extra__", None) or {})}


def _takes_names(kind: Any) -> bool:
    config = getattr(kind, "model_config", {})
    return bool(config.get("populate_by_name") or config.get("validate_by_name"))
