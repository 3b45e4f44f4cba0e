"""From what users pass as `predict_fn` to a `Target`, and from any object to a reference that another process can import, and back."""

from __future__ import annotations

import inspect
import json
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prompt_registry_plugin.concurrency import ContextPool
from prompt_registry_plugin.errors import UserError, did_you_mean
from prompt_registry_plugin.evaluation.bound_target import BoundTarget
from prompt_registry_plugin.evaluation.file_modules import object_in_file
from prompt_registry_plugin.evaluation.function_target import FunctionTarget as FunctionTarget
from prompt_registry_plugin.frameworks.calls import CallSettings
from prompt_registry_plugin.masking import holds_secrets, mask_secrets
from prompt_registry_plugin.models.servers import without_logins
from prompt_registry_plugin.moved import current_place
from prompt_registry_plugin.plugins import PluginManager
from prompt_registry_plugin.protocols import Target
from prompt_registry_plugin.recipes import NESTED, has_recipe, reference_of
from prompt_registry_plugin.records import EMPTY

_OURS = ("prompt_registry_plugin.models.", "prompt_registry_plugin.scorers", "prompt_registry_plugin.optimize.")
_SCRIPTS = ("__main__", "__mp_main__")  # a script that is run, in its process and in those that multiprocessing starts
_GUARD = re.compile(r"if\s+__name__\s*==")


def resolve_target(predict_fn: Any, pool: ContextPool, plugins: PluginManager, arguments: Mapping[str, Any] = EMPTY) -> Target:
    """Return the target for a function, a framework's object, what `target(…)` returned, or a string `"package.module:name"`.

    A function gets `arguments` in addition to the inputs of each example. Raises `UserError` for any other object.
    """
    obj = import_object(predict_fn) if isinstance(predict_fn, str) else predict_fn
    settings = None
    if isinstance(obj, BoundTarget):
        settings, obj = obj.settings, import_object(obj.agent) if isinstance(obj.agent, str) else obj.agent
    if arguments and (not inspect.isroutine(obj) or isinstance(obj, Target)):
        raise UserError(f"RunOptions(arguments=…) needs a function as predict_fn, not {obj!r:.80}.")
    found: Target | None = (
        obj if isinstance(obj, Target) and not inspect.isclass(obj) else plugins.hook.prompt_registry_as_target(obj=obj)
    )
    if found is not None:
        return found if settings is None else _with_settings(found, settings)
    if callable(obj) and not inspect.isclass(obj):
        return FunctionTarget(obj, pool, arguments, settings)
    raise UserError(
        f"predict_fn is a function, an object of an installed framework, or 'module:name', not {type(obj).__name__} {obj!r:.80}"
    )


def _with_settings(found: Target, settings: CallSettings) -> Target:
    """Return a target that is called with these settings. Raises `UserError` if it takes none."""
    take = getattr(found, "with_settings", None)
    if take is None:
        raise UserError(f"{found.name} takes no deps, input or config: pass it as predict_fn without target(…).")
    made: Target = take(settings)
    return made


def describe_call(found: Target, inputs: Mapping[str, Any]) -> str:
    """Return how a row becomes the call of a target, as one line for people."""
    describe = getattr(found, "describe", None)
    said = str(describe(inputs)) if describe is not None else f"calls {found.name}({', '.join(inputs)})"
    return mask_secrets(said)


def import_object(reference: str) -> Any:
    """Return the object that `"package.module:name"`, `"folder/file.py:name"` or `"package.module:Class{arguments}"` names.

    A reference that an earlier version stored is found where its module is now (`moved`). Raises `UserError` when nothing can be
    imported by that name, and when a class would be called that is not marked for it (`recipes`).
    """
    module_name, path, brace, recipe = _split_reference(reference)
    try:
        with _working_directory_first():
            found = object_in_file(Path(module_name), path) if module_name.endswith(".py") else _named_object(module_name, path)
    except Exception as error:  # whatever the user's module does when it is imported
        raise UserError(f"cannot import {reference!r}: {type(error).__name__}: {error}") from error
    if not brace:
        return found
    if not has_recipe(found):
        raise UserError(f"cannot make {reference!r}: {path} is not a class that is made from a recipe")
    try:
        return found(
            **json.loads(brace + recipe, object_hook=lambda part: import_object(part[NESTED]) if NESTED in part else part)
        )
    except (TypeError, ValueError) as error:
        raise UserError(f"cannot make {reference!r}: {error}") from error


def _split_reference(reference: str) -> tuple[str, str, str, str]:
    """Return (module or file, path of names, "{" or nothing, the rest of a recipe). Raises `UserError`."""
    head, brace, recipe = reference.partition("{")
    module_name, colon, path = head.rpartition(":") if ".py:" in head else head.partition(":")
    if not colon or not module_name or not path:
        raise UserError(f"cannot read {reference!r}: write 'package.module:name' or 'folder/file.py:name'")
    return module_name, path, brace, recipe


@contextmanager
def _working_directory_first() -> Iterator[None]:
    """Import from the working directory first, as `python -m` would, and leave `sys.path` as it was."""
    here = str(Path.cwd())
    if here in sys.path:
        yield
        return
    sys.path.insert(0, here)
    try:
        yield
    finally:
        if here in sys.path:
            sys.path.remove(here)


def check_reference(reference: str) -> None:
    """Raise `UserError` unless a reference from a database names code of the user's project, or a class with a recipe.

    Nothing is called. Modules of Python and of installed packages are refused before they are imported; so is a name in a
    module of the project that is bound to something of those.
    """
    module_name, path, brace, _ = _split_reference(reference)
    if module_name.endswith(".py"):
        _check_file(reference, Path(module_name), path)
        return
    module_name, first = current_place(module_name, path.split(".")[0])
    path = ".".join([first, *path.split(".")[1:]])
    reason = _foreign_module(module_name)
    if module_name.startswith(_OURS) or (brace and not reason.endswith("Python")):
        return  # with arguments, `import_object` makes nothing but classes with a recipe
    if reason:
        raise UserError(
            f"The database names {reference!r} as code to call, and {reason}. Only modules of your project are called."
        )
    try:
        with _working_directory_first():
            found: Any = import_module(module_name)
            for part in path.split("."):
                found = getattr(found, part)
                if inspect.ismodule(found):
                    break
    except Exception as error:  # whatever the user's module does when it is imported
        raise UserError(f"cannot import {reference!r}: {type(error).__name__}: {error}") from error
    home = getattr(found, "__module__", None) or ""
    is_code = inspect.isroutine(found) or inspect.isclass(found)
    if inspect.ismodule(found) or (is_code and _foreign_module(home)):
        raise UserError(f"The database names {reference!r} as code to call, which is not defined in your project.")


def _check_file(reference: str, file: Path, path: str) -> None:
    """Raise `UserError` unless a file that a database names is in the working directory, and the object is defined in the project."""
    place = file.resolve()
    if not place.is_relative_to(Path.cwd().resolve()) or {"site-packages", "dist-packages"} & set(place.parts):
        raise UserError(f"The database names {reference!r} as code to call, which is not in the working directory.")
    try:
        found = object_in_file(place, path)
    except Exception as error:  # whatever the user's module does when it is imported
        raise UserError(f"cannot import {reference!r}: {type(error).__name__}: {error}") from error
    home = getattr(found, "__module__", None) or ""
    if inspect.ismodule(found) or ((inspect.isroutine(found) or inspect.isclass(found)) and home and _foreign_module(home)):
        raise UserError(f"The database names {reference!r} as code to call, which is not defined in your project.")


def _foreign_module(module_name: str) -> str:
    """Return why a module is not one of the user's project; empty if it is."""
    top = module_name.partition(".")[0]
    if not top or top in sys.stdlib_module_names or top in sys.builtin_module_names:
        return f"{top!r} is part of Python"
    if top in ("prompt_registry_plugin", "prompt_registry_adapters"):
        return f"{top!r} is an installed package"
    known = sys.modules.get(top)
    with _working_directory_first():
        spec = getattr(known, "__spec__", None) or (find_spec(top) if known is None else None)
    places = [getattr(spec, "origin", None) or "", *(getattr(spec, "submodule_search_locations", None) or ())]
    if any(part in ("site-packages", "dist-packages") for place in places for part in Path(place).parts):
        return f"{top!r} is an installed package"
    return ""


def _named_object(module_name: str, path: str) -> Any:
    """Return the object at `path` in a module, or where it has moved to."""
    first, *rest = path.split(".")
    module_name, first = current_place(module_name, first)
    found: Any = import_module(module_name)
    for part in (first, *rest):
        if not hasattr(found, part):
            raise AttributeError(f"{module_name} has no {part!r}{did_you_mean(part, dir(found))}")
        found = getattr(found, part)
    return found


def reference_to(obj: Any) -> str | None:
    """Return `"package.module:name"` for an object that another process can import; None for one it cannot (a lambda, a local).

    For an object that remembers how it was made (`recipes`), it is `"package.module:Class{arguments}"`. A string is returned as it is.
    """
    if isinstance(obj, str):
        return obj
    made = without_logins(reference_of(obj))  # the login in the address of a model is asked for again
    if made is not None and not holds_secrets(made):
        return str(made)
    module_name, path = getattr(obj, "__module__", None), getattr(obj, "__qualname__", None)
    if module_name and path and "<" not in path:
        return _reference_if_bound(_importable_name(module_name), module_name, path, obj)
    for module_name, module in list(sys.modules.items()):  # an instance, such as a compiled graph: look where it was bound
        for name, value in list(vars(module).items()) if is_users(module) else ():
            if value is obj and (found := _reference_if_bound(_importable_name(module_name), module_name, name, obj)):
                return found
    return None


def _reference_if_bound(importable: str | None, module_name: str, path: str, obj: Any) -> str | None:
    """Return the reference, if that name is still bound to the object: a decorator may have replaced it."""
    found: Any = sys.modules.get(module_name)
    for part in path.split("."):
        found = getattr(found, part, None)
    return f"{importable}:{path}" if importable and found is obj else None


def _importable_name(module_name: str) -> str | None:
    """Return the name that another process can import a module by; None for a script that importing would run again.

    A script below the working directory is named by its path, since modules beside it may be imported from there.
    """
    if module_name not in _SCRIPTS:
        return module_name
    main = sys.modules[module_name]
    path = Path(getattr(main, "__file__", None) or "")
    if path.suffix != ".py" or not path.is_file() or not _GUARD.search(path.read_text(encoding="utf-8", errors="replace")):
        return None
    spec = getattr(main, "__spec__", None)
    if spec is not None:
        return str(spec.name).removesuffix(".__main__")
    path, here = path.resolve(), Path.cwd().resolve()
    if path.parent == here:
        return path.stem
    return path.relative_to(here).as_posix() if path.is_relative_to(here) else None


def is_users(module: Any) -> bool:
    """Return whether a module is the user's own: neither an installed package nor part of Python."""
    path = getattr(module, "__file__", None) or ""
    return path.endswith(".py") and "site-packages" not in path and not path.startswith(sys.base_prefix)
