"""A call of a model as a span of the recording, unless the framework above has a span for it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any
from weakref import WeakKeyDictionary

from prompt_registry_adapters.clients.serving import ServedBody
from prompt_registry_adapters.clients.shape import Answer, Shape
from prompt_registry_plugin.frameworks.notices import warn_once
from prompt_registry_plugin.prompts.context import Recorder, current_recorder
from prompt_registry_plugin.prompts.messages import blocks_of, content_of, role_of
from prompt_registry_plugin.tracing.recorder import inside

_own: WeakKeyDictionary[Recorder, set[str]] = WeakKeyDictionary()  # open spans of this seam: two equal calls at once are two


class Call:
    """An open span of a model call. As a context manager, the block in which the client sends the request."""

    __slots__ = ("_answer", "_inside", "_recorder", "_span_id", "is_reading")

    def __init__(self, recorder: Recorder, span_id: str, answer: Answer) -> None:
        self._recorder = recorder
        self._span_id = span_id
        self._answer = answer
        self.is_reading = False
        """Whether the answer is being read, so that a connection that closes now says nothing about the end."""

    def __enter__(self) -> None:
        self._inside = inside(self._span_id)
        self._inside.__enter__()

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        self._inside.__exit__()
        if error is not None:
            self.fail(error)

    def add(self, event: Any) -> None:
        """Take an event of a stream. One that cannot be read is left out."""
        try:
            self._answer.add(event)
        except Exception as error:  # noqa: BLE001  a boundary: the agent has its event
            _report_unread(error)

    def finish(self, whole: Any) -> None:
        """Take the whole answer, and end the span. One that cannot be read is left out."""
        try:
            self._answer.read(whole)
        except Exception as error:  # noqa: BLE001  a boundary: the agent has its answer
            _report_unread(error)
        self.end()

    def end(self) -> None:
        """End the span with what was answered so far. An ended one stays as it is."""
        error = self._answer.error
        self._close(None if error is None else RuntimeError(error))

    def fail(self, error: BaseException) -> None:
        """End the span with an error. Whoever closes a generator has had enough, which is none."""
        self._close(None if isinstance(error, GeneratorExit) else error)

    def connection_closed(self) -> None:
        """End the span, unless whoever reads the answer will say how it ended."""
        if not self.is_reading:
            self.end()

    def _close(self, error: BaseException | None) -> None:
        try:
            attributes = self._answer.attributes()
        except Exception as unread:  # noqa: BLE001  a boundary: the agent has its answer
            _report_unread(unread)
            attributes = {}
        self._recorder.finish(self._span_id, attributes=attributes, error=error)
        _own.get(self._recorder, set()).discard(self._span_id)


class Reading:
    """A block that reads a part of an answer: where nothing comes any more, or an error does, the call ends with it."""

    __slots__ = ("_call",)

    def __init__(self, call: Call) -> None:
        self._call = call

    def __enter__(self) -> None:
        self._call.is_reading = True

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _traceback: object) -> None:
        self._call.is_reading = False
        if isinstance(error, StopIteration | StopAsyncIteration):
            self._call.end()
        elif error is not None:
            self._call.fail(error)


def begin_call(shape: Shape, path: str, served: ServedBody) -> Call | None:
    """Start the span of a call; None if nothing is recorded, or if an open span of a framework is that of this call."""
    recorder = current_recorder()
    if recorder is None:
        return None
    messages = shape.messages(served.body)
    own = _own.setdefault(recorder, set())
    if any(_is_same_call(messages, attributes) for span_id, attributes in recorder.open_models() if span_id not in own):
        return None
    name = shape.model(served.body, path)
    span_id = recorder.start_model(name, messages, descriptions=served.descriptions, place=served.place)
    own.add(span_id)
    return Call(recorder, span_id, shape.new_answer())


def _is_same_call(messages: Sequence[Mapping[str, Any]], attributes: Mapping[str, Any]) -> bool:
    """Return whether a framework's span shows the same last message, and no other instructions.

    A framework may write the rest in another way than it sends it, and leave the instructions out.
    """
    theirs = attributes.get("messages")
    if not messages or not theirs:
        return False
    if not _is_same_message(messages[-1], theirs[-1]):
        return False
    ours, shown = _instructions(messages), _instructions(theirs)
    return not ours or not shown or ours in shown or shown in ours


def _is_same_message(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> bool:
    """Return whether two messages have the same text, or a block in common.

    What a tool returned is written as JSON, as Python shows it, or without what the framework wrapped it in: its words decide.
    """
    if _texts(ours) & _texts(theirs):
        return True
    if role_of(ours) != "tool" or role_of(theirs) != "tool":
        return False
    mine, shown = _words(content_of(ours)), _words(content_of(theirs))
    return mine in shown or shown in mine


def _words(text: str) -> str:
    return re.sub(r"[\W_]+", "", text).casefold().replace("none", "null")


def _texts(message: Mapping[str, Any]) -> set[str]:
    """Return the text of a message and those of its blocks, without space; one without any text has its parts."""
    texts = {_squeezed(text) for text in (*blocks_of(message), *(message.get("blocks") or ()))} - {""}
    return {_squeezed(content_of(message)), *texts}


def _instructions(messages: Sequence[Mapping[str, Any]]) -> str:
    return _squeezed("".join(content_of(message) for message in messages if role_of(message) in ("system", "developer")))


def _squeezed(text: str) -> str:
    return "".join(text.split())


def _report_unread(error: Exception) -> None:
    warn_once(f"An answer of a model could not be read for the recording: {type(error).__name__}: {error}")
