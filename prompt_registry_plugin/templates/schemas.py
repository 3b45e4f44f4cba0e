"""Variable types: a JSON Schema (draft 2020-12) for each variable that has one, checked at every render."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from prompt_registry_plugin.errors import InvalidTemplate, InvalidVariable, did_you_mean, needs_extra

if TYPE_CHECKING:
    from jsonschema.protocols import Validator

_NEEDS = partial(needs_extra, "schemas", "variables with a schema need")
_SHOWN = 200  # characters of a message, which quotes the value; values can be long


def check_schemas(schemas: object, names: Collection[str], where: str) -> None:
    """Raise `InvalidTemplate` unless `schemas` maps variables in `names` to JSON Schemas."""
    with _NEEDS():
        from jsonschema import Draft202012Validator
        from jsonschema.exceptions import SchemaError

    if not isinstance(schemas, Mapping):
        raise InvalidTemplate(f"the variables of {where} are a mapping of names to JSON Schemas, not {type(schemas).__name__}")
    for name, schema in schemas.items():
        if name not in names:
            raise InvalidTemplate(f"{where} has no variable {name!r} to describe{did_you_mean(str(name), names)}")
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise InvalidTemplate(f"the schema of variable {name!r} of {where} is no JSON Schema: {error.message}") from error
        _check_references(schema, schema, f"the schema of variable {name!r} of {where}")


def _check_references(schema: Any, part: Any, where: str) -> None:
    """Raise `InvalidTemplate` for a reference to another document, which would have to be fetched, or to a missing part."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    if isinstance(part, Mapping):
        for key in ("$ref", "$dynamicRef"):
            reference = part.get(key)
            if not isinstance(reference, str):
                continue
            if not reference.startswith("#"):
                raise InvalidTemplate(f"{where} refers to {reference!r}; only references within it (#/…) are followed")
            document = DRAFT202012.create_resource(schema)
            try:
                Registry().with_resource("", document).resolver().lookup(reference)
            except Unresolvable as error:
                raise InvalidTemplate(f"{where} refers to {reference!r}, which leads nowhere") from error
    for item in part.values() if isinstance(part, Mapping) else part if isinstance(part, list | tuple) else ():
        _check_references(schema, item, where)


def make_validators(schemas: Mapping[str, Any]) -> dict[str, Validator]:
    """Return a validator for each variable. It fetches nothing: references outside the schema fail."""
    with _NEEDS():
        from jsonschema import Draft202012Validator
        from referencing import Registry

    return {name: Draft202012Validator(schema, registry=Registry()) for name, schema in schemas.items()}


def check_values(validators: Mapping[str, Validator], values: Mapping[str, Any], where: str) -> None:
    """Raise `InvalidVariable`, with the variable and the reason, for an invalid value. Missing values are not checked."""
    for name, validator in validators.items():
        if name not in values:
            continue
        try:
            error = next(iter(validator.iter_errors(values[name])), None)
        except RecursionError:
            raise InvalidVariable(f"{where}: the schema of variable {name!r} refers to itself without an end") from None
        if error is not None:
            inside = "".join(f"[{part!r}]" for part in error.absolute_path)
            raise InvalidVariable(f"{where}: variable {name!r}{inside} is not what its schema asks for: {error.message[:_SHOWN]}")
