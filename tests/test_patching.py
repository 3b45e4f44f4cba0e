"""Methods that are replaced: called as they were, whatever they are, and beside other libraries that replace them too."""

from __future__ import annotations

import asyncio
import inspect
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial, partialmethod, singledispatchmethod, update_wrapper, wraps
from itertools import permutations
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.frameworks.patching import Patches


class BindingWrapper:
    """What `wrapt` puts in the place of a method: an object that finds its instance by being bound, and has None otherwise."""

    def __init__(self, wrapped: Any, note: Callable[[Any], None]) -> None:
        self.__wrapped__ = wrapped
        self._note = note

    def __get__(self, instance: Any, owner: type | None = None) -> BindingWrapper:
        return BindingWrapper(self.__wrapped__.__get__(instance, owner), self._note)

    @property  # type: ignore[misc]
    def __class__(self) -> Any:
        """Pose as what is wrapped, as a proxy does."""
        return type(self.__wrapped__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self._note(getattr(self.__wrapped__, "__self__", None))
        return self.__wrapped__(*args, **kwargs)


class Plain:
    """An object that is called without its instance."""

    def __call__(self, text: str) -> str:
        return f"plain {text}"


def dispatching() -> Any:
    @singledispatchmethod
    def say(self: Any, text: Any) -> str:
        return f"{type(self).__name__} other {text}"

    @say.register
    def _(self: Any, text: str) -> str:
        return f"{type(self).__name__} text {text}"

    return say


def make() -> type[Any]:
    """A class with a method of each kind."""

    class Base:
        def function(self, text: str) -> str:
            return f"{type(self).__name__} function {text}"

        @classmethod
        def klass(cls, text: str) -> str:
            return f"{cls.__name__} class {text}"

        @staticmethod
        def static(text: str) -> str:
            return f"static {text}"

        async def coroutine(self, text: str) -> str:
            return f"{type(self).__name__} coroutine {text}"

        def _both(self, kind: str, text: str) -> str:
            return f"{type(self).__name__} {kind} {text}"

        partly = partialmethod(_both, "partial")
        fixed = partial(lambda kind, text: f"{kind} {text}", "fixed") if not hasattr(partial, "__get__") else Plain()
        plain = Plain()
        dispatch = dispatching()

    class Sub(Base):
        pass

    Base.Sub = Sub  # type: ignore[attr-defined]
    return Base


METHODS = ("function", "klass", "static", "coroutine", "partly", "fixed", "plain", "dispatch")


def call(method: Callable[[str], Any]) -> Any:
    said = method("hi")
    return asyncio.run(said) if inspect.isawaitable(said) else said


def all_ways(owner: type[Any], name: str) -> list[Any]:
    """What a method answers through an instance, an instance of a subclass, and for class and static methods the classes too."""
    ways = [call(getattr(owner(), name)), call(getattr(owner.Sub(), name))]
    if name in ("klass", "static"):
        ways += [call(getattr(owner, name)), call(getattr(owner.Sub, name))]
    return ways


def passing(seen: list[Any]) -> Callable[[Any], Any]:
    """A replacement that notes its arguments and passes them on."""

    def wrap(original: Any) -> Any:
        @wraps(original)
        def replacement(*args: Any, **kwargs: Any) -> Any:
            seen.append(args)
            return original(*args, **kwargs)

        return replacement

    return wrap


@pytest.mark.parametrize("name", METHODS)
def test_a_method_of_any_kind_is_called_as_it_was(name: str) -> None:
    """Through instances, subclasses and classes, with the same answers; the replacement sees each call; restoring leaves the attribute."""
    owner, seen, patches = make(), [], Patches()
    kept, before = vars(owner)[name], all_ways(owner, name)
    signature = inspect.signature(getattr(owner(), name)) if name in ("function", "klass", "static", "coroutine") else None
    patches.replace(owner, name, passing(seen))
    assert all_ways(owner, name) == before
    assert len(seen) == len(before)
    if signature is not None:
        assert inspect.signature(getattr(owner(), name)) == signature
    patches.restore()
    assert vars(owner)[name] is kept
    assert all_ways(owner, name) == before
    assert len(seen) == len(before)


@pytest.mark.parametrize("name", ["function", "klass", "static", "coroutine"])
@pytest.mark.parametrize("order", [*permutations(["ours", "theirs"]), ("theirs", "ours", "theirs")])
def test_a_wrapper_of_another_library_is_bound(name: str, order: tuple[str, ...]) -> None:
    """It finds the instance, or the class, that the method was called on, in whatever order the two replace the method."""
    owner, seen, patches = make(), [], Patches()
    met: list[Any] = []
    before = all_ways(owner, name)
    entries = []
    for who in order:
        entries.append(vars(owner)[name])
        if who == "ours":
            patches.replace(owner, name, passing(seen))
        else:
            setattr(owner, name, BindingWrapper(vars(owner)[name], met.append))
    assert all_ways(owner, name) == before
    assert len(seen) == len(before)
    bound_to = {"static": [None] * 4, "klass": [owner, owner.Sub] * 2}.get(name, [owner, owner.Sub])
    found = [each if isinstance(each, type | None) else type(each) for each in met]
    assert Counter(found) == Counter(bound_to * order.count("theirs")), "what it would have without us"
    last = vars(owner)[name]
    patches.restore()
    assert vars(owner)[name] is (entries[-1] if order[-1] == "ours" else last), "what others wrapped stays"
    assert all_ways(owner, name) == before


def test_a_wrapper_that_was_left_behind_is_not_wrapped_again() -> None:
    """Another library holds ours when we are disabled. Enabled again, each call passes ours once; and it goes when that library goes."""
    owner, patches = make(), Patches()
    seen: list[Any] = []
    kept = vars(owner)["function"]
    patches.replace(owner, "function", passing(seen))
    ours = vars(owner)["function"]
    owner.function = BindingWrapper(ours, lambda instance: None)
    patches.restore()
    again = Patches()
    again.replace(owner, "function", passing(seen))
    assert owner().function("hi") == "Base function hi"
    assert len(seen) == 1
    owner.function = ours  # the other library restores what it found
    again.restore()
    assert vars(owner)["function"] is kept
    owner().function("hi")
    assert len(seen) == 1


def test_a_wrapper_that_was_thrown_out_is_made_anew() -> None:
    """Another library that restores what it found before us takes ours away."""
    owner, patches = make(), Patches()
    seen: list[Any] = []
    kept = vars(owner)["function"]
    patches.replace(owner, "function", passing(seen))
    owner.function = BindingWrapper(vars(owner)["function"], lambda instance: None)
    patches.restore()
    owner.function = kept
    again = Patches()
    again.replace(owner, "function", passing(seen))
    owner().function("hi")
    assert len(seen) == 1
    again.restore()
    assert vars(owner)["function"] is kept


@pytest.fixture
def foreign_wrapper() -> Iterator[list[Any]]:
    """LangChain's `PromptTemplate.format` under a wrapper that was there before `enable()`."""
    from langchain_core.prompts import PromptTemplate

    pr.disable()
    met: list[Any] = []
    kept = vars(PromptTemplate)["format"]
    wrapper = update_wrapper(BindingWrapper(kept, met.append), kept)
    PromptTemplate.format = wrapper  # type: ignore[method-assign, assignment]
    yield met
    pr.disable()
    assert vars(PromptTemplate)["format"] is wrapper
    PromptTemplate.format = kept  # type: ignore[method-assign]


def test_an_adapter_works_on_a_method_that_was_wrapped_before(foreign_wrapper: list[Any]) -> None:
    """The other library is given the template object, and ours records the prompt."""
    from langchain_core.prompts import PromptTemplate

    pr.enable("langchain")
    template = PromptTemplate.from_template("Hi {name}.")
    with pr.record() as trace:
        assert template.format(name="Ann") == "Hi Ann."
    assert foreign_wrapper == [template]
    assert [span.attributes["text"] for span in trace.spans] == ["Hi Ann."]


def test_the_getter_of_a_property_is_wrapped_and_restored() -> None:
    """What is read through it is what the wrapper returns; its setter stays."""

    class Owner:
        def __init__(self) -> None:
            self._text = "hi"

        @property
        def text(self) -> str:
            """The text."""
            return self._text

        @text.setter
        def text(self, text: str) -> None:
            self._text = text

    before = Owner.__dict__["text"]
    patches = Patches()
    patches.replace(Owner, "text", lambda original: lambda self: original(self).upper())
    owner = Owner()
    owner.text = "hello"
    assert owner.text == "HELLO"
    assert Owner.text.__doc__ == "The text."
    patches.restore()
    assert Owner.__dict__["text"] is before
