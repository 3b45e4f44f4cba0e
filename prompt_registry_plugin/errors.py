"""Every error that this package raises on purpose.

    PromptRegistryError
    ├── UserError                 something to correct in a call, a file or a setting
    │   ├── InvalidURI
    │   ├── InvalidName
    │   ├── InvalidTemplate
    │   ├── InvalidFilter
    │   ├── InvalidExample
    │   ├── NotPlainData          an answer, input or expectation that cannot be written as JSON data
    │   ├── InvalidScore          a scorer raised, or did not return a number
    │   ├── MissingVariable
    │   ├── InvalidVariable       a value that its variable's schema does not allow
    │   ├── PromptNotFound
    │   ├── PromptExists
    │   ├── DatasetNotFound
    │   ├── AliasConflict
    │   ├── BudgetTooSmall
    │   ├── UntrustedRun          an imported run names code, and nobody agreed that it is called
    │   ├── UnsupportedByStore    the registry's store does not keep what was asked for
    │   ├── InvalidStore          a bad registry URL, or a database of another program or a newer version
    │   └── PluginError           a missing framework, an unknown plugin, two plugins with one name
    └── RunError                  the request was fine, carrying it out failed
        ├── PromptNotRendered     an overridden prompt was never rendered, so the candidate was not tested
        ├── BudgetExhausted
        ├── ModelUnavailable
        ├── TargetFailed          the agent fails on every example it was given
        └── StoreUnavailable      the database cannot be opened, read or written

A command line exits with 2 on a `UserError` and with 1 on a `RunError`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from difflib import get_close_matches


class PromptRegistryError(Exception):
    """The base of all errors of this package."""


class UserError(PromptRegistryError):
    """Something that the caller can correct."""


class InvalidURI(UserError, ValueError):
    """A prompt URI that cannot be read."""


class InvalidName(UserError, ValueError):
    """A prompt, alias or tag name that is not allowed."""


class InvalidTemplate(UserError, ValueError):
    """A template that is empty, unbalanced or of an unknown shape."""


class InvalidFilter(UserError, ValueError):
    """A search filter that cannot be read."""


class InvalidExample(UserError, ValueError):
    """A data row that the target or the scorers cannot use."""


class NotPlainData(UserError, TypeError):
    """An answer, input or expectation that has no plain form (JSON data)."""


class InvalidScore(UserError):
    """A scorer that raised, or that returned something other than a finite number."""


class MissingVariable(UserError, KeyError):
    """A template variable for which no value was given."""

    def __str__(self) -> str:
        return str(self.args[0])  # KeyError would show the repr of the message


class InvalidVariable(UserError, ValueError):
    """A value that the schema of its template variable does not allow."""


class PromptNotFound(UserError, LookupError):
    """No such prompt, version or alias."""


class DatasetNotFound(UserError, LookupError):
    """No such dataset, or no such version of it."""


class PromptExists(UserError):
    """A name that is taken, or a text that is adopted under another name."""


class AliasConflict(UserError):
    """An alias that may not be set, or that has moved since it was read."""


class BudgetTooSmall(UserError, ValueError):
    """A budget that does not pay for a single evaluation."""


class UntrustedRun(UserError):
    """An optimization run that came with an export, which names code that a resume would call."""

    def __init__(self, run_id: str, references: Sequence[str]) -> None:
        self.references = list(references)
        """The code that it names: `module:name`."""
        super().__init__(
            f"Optimization run {run_id} was imported, and a resume calls the code that it names: {', '.join(map(repr, references))}. "
            "If you trust it, pass trust=True (--trust on the command line)."
        )


class InvalidStore(UserError):
    """A registry URL that cannot be read, or a database of another program or a newer version."""


class UnsupportedByStore(UserError):
    """The store of a registry does not keep what was asked for, such as traces."""


class PluginError(UserError):
    """A plugin, adapter or framework that is missing, broken or claimed twice."""


class RunError(PromptRegistryError):
    """Carrying out a valid request failed."""


class PromptNotRendered(RunError):
    """A prompt was overridden and then never rendered, so the candidate was not used."""


class BudgetExhausted(RunError):
    """A rollout was asked for that the budget does not pay for."""


class ModelUnavailable(RunError):
    """A model could not be reached or refused the request."""


class TargetFailed(RunError):
    """The evaluated function or agent failed on every example it was given."""


class StoreUnavailable(RunError):
    """The database cannot be opened, read or written."""


def did_you_mean(wanted: str, known: Iterable[str]) -> str:
    """`"; did you mean 'a' or 'b'?"` for near matches of `wanted`, otherwise an empty string."""
    near = get_close_matches(wanted, list(known), n=3, cutoff=0.6)
    return f"; did you mean {' or '.join(repr(name) for name in near)}?" if near else ""


@contextmanager
def needs_extra(extra: str, what: str) -> Iterator[None]:
    """A block that imports a package of an extra.

    If the package is missing, raises `PluginError`, which begins with `what`, such as "Jinja templates need", and names the extra.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").startswith(__name__.partition(".")[0]):
            raise  # a module of ours: no package can mend that
        raise PluginError(
            f"{what} {error.name}, which is not installed: pip install 'prompt-registry-plugin[{extra}]'"
        ) from error
