"""MLflow's exception, which every error of this layer is too: `except MlflowException as error: error.error_code`."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from prompt_registry_plugin import errors
from prompt_registry_plugin.errors import PromptRegistryError

P = ParamSpec("P")
R = TypeVar("R")

_HTTP_STATUS = {
    "INTERNAL_ERROR": 500,
    "INVALID_PARAMETER_VALUE": 400,
    "INVALID_STATE": 500,
    "NOT_IMPLEMENTED": 501,
    "PERMISSION_DENIED": 403,
    "RESOURCE_ALREADY_EXISTS": 400,
    "RESOURCE_CONFLICT": 409,
    "RESOURCE_DOES_NOT_EXIST": 404,
    "TEMPORARILY_UNAVAILABLE": 503,
}

_CODES: tuple[tuple[type[PromptRegistryError], str], ...] = (
    (errors.PromptNotFound, "RESOURCE_DOES_NOT_EXIST"),
    (errors.DatasetNotFound, "RESOURCE_DOES_NOT_EXIST"),
    (errors.PromptExists, "RESOURCE_ALREADY_EXISTS"),
    (errors.UnsupportedByStore, "NOT_IMPLEMENTED"),
    (errors.StoreUnavailable, "TEMPORARILY_UNAVAILABLE"),
    (errors.ModelUnavailable, "TEMPORARILY_UNAVAILABLE"),
    (errors.UserError, "INVALID_PARAMETER_VALUE"),
)  # the first that fits


class MlflowException(Exception):
    """An error with a code.

    Errors of this library that reach a caller of MLflow's names are both: `except MlflowException` and `except pr.UserError` catch them.
    """

    error_code: str = "INTERNAL_ERROR"
    """One of MLflow's names, such as `RESOURCE_DOES_NOT_EXIST` or `INVALID_PARAMETER_VALUE`."""

    def __init__(self, message: object, error_code: object = "INTERNAL_ERROR", **json_kwargs: Any) -> None:
        super().__init__(str(message))
        self.message = str(message)
        self.error_code = str(error_code)
        self.json_kwargs = json_kwargs

    @classmethod
    def invalid_parameter_value(cls, message: object, **json_kwargs: Any) -> MlflowException:
        """An error with the code `INVALID_PARAMETER_VALUE`."""
        return cls(message, "INVALID_PARAMETER_VALUE", **json_kwargs)

    def get_http_status_code(self) -> int:
        """The status that MLflow's server answers with for such a code."""
        return _HTTP_STATUS.get(self.error_code, 500)

    def serialize_as_json(self) -> str:
        """The error as MLflow's server writes it."""
        return json.dumps({"error_code": self.error_code, "message": self.message, **self.json_kwargs})


RestException = MlflowException


def as_mlflow_exception(error: PromptRegistryError, message: str | None = None) -> MlflowException:
    """The same error, which is an `MlflowException` too. `message` is what it says, by default what it said."""
    if isinstance(error, MlflowException):
        return error
    kind = _both(type(error))
    made = kind.__new__(kind)
    made.__dict__.update(error.__dict__)
    made.message = str(error) if message is None else message
    made.args = (made.message,)
    made.error_code = next((code for known, code in _CODES if isinstance(error, known)), "INTERNAL_ERROR")
    made.json_kwargs = {}
    return made


def _both(kind: type[PromptRegistryError]) -> type[MlflowException]:
    """A class that is an `MlflowException` and an error of ours; one for each error, so that they compare."""
    if kind not in _classes:
        body = {"__module__": kind.__module__, "__doc__": kind.__doc__, "__reduce__": _reduce, "__str__": _message_of}
        _classes.setdefault(kind, type(kind.__name__, (MlflowException, kind), body))
    return _classes[kind]


def _message_of(error: MlflowException) -> str:
    return error.message


def _reduce(error: MlflowException) -> tuple[Any, ...]:
    """How such an error travels to another process: as the error of ours that it was made from."""
    ours = type(error).__mro__[2]
    return _restore, (ours, error.message, error.__dict__)


def _restore(kind: type[PromptRegistryError], message: str, state: dict[str, Any]) -> MlflowException:
    bare = kind.__new__(kind)
    bare.args = (message,)
    made = as_mlflow_exception(bare, message)
    made.__dict__.update(state)
    return made


_classes: dict[type[PromptRegistryError], type[MlflowException]] = {}


def raises_mlflow(function: Callable[P, R]) -> Callable[P, R]:
    """A decorator: errors of ours leave the function as MLflow's exceptions too."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        try:
            return function(*args, **kwargs)
        except PromptRegistryError as error:
            if isinstance(error, MlflowException):
                raise
            raise as_mlflow_exception(error).with_traceback(error.__traceback__) from None

    return call


__all__ = ["MlflowException", "RestException"]
