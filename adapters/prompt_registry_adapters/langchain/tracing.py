"""LangChain's callbacks as spans of the current recording.

LangChain asks each registered hook for a handler whenever it configures a run, and only ever calls `.get()` on it. Ours answers
with the handler of the recording in this context, so `with record():` is all that is needed. Steps that carry no information
(prompts, which record themselves; parsers; sequences; LangGraph's hidden writes) get no span: their children hang on the parent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast
from uuid import UUID
from weakref import WeakKeyDictionary, ref

from langchain_core.callbacks import BaseCallbackHandler
from langchain_core.messages import BaseMessage, ChatMessage
from langchain_core.outputs import LLMResult
from langchain_core.tracers.context import register_configure_hook

from prompt_registry_adapters.langchain.descriptions import descriptions_of, has_descriptions
from prompt_registry_adapters.langchain.places import locate
from prompt_registry_plugin.prompts.context import Recorder, current_recorder
from prompt_registry_plugin.records import EMPTY
from prompt_registry_plugin.tracing.call_site import add_locator, remove_locator
from prompt_registry_plugin.tracing.recorder import TraceRecorder

_PASS_THROUGH = frozenset({"prompt", "parser"})
_SEQUENCES = frozenset({"RunnableSequence", "RunnableLambda", "RunnableParallel", "RunnableAssign"})
_HIDDEN = "langsmith:hidden"


class _State:
    attached = False


state = _State()  # a wrapper that another library wrapped after us cannot be taken away; it falls silent by this


class RecordingHandler(BaseCallbackHandler):
    """Turns one recording's callbacks into spans."""

    def __init__(self, trace: Recorder) -> None:
        # Weakly: handlers are kept by trace, and one that held its trace would keep every recording of the process alive.
        self._ref = ref(trace)

    @property
    def _trace(self) -> Recorder:
        return self._ref() or TraceRecorder()

    def on_chain_start(
        self,
        serialized: dict[str, Any] | None,
        inputs: Any,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        tags: list[str] | None = None,
        metadata: dict[str, Any] | None = None,
        **kwargs: Any,
    ) -> None:
        """A chain, graph or node begins."""
        name = kwargs.get("name") or "chain"
        if kwargs.get("run_type") in _PASS_THROUGH or _HIDDEN in (tags or ()) or (parent_run_id and name in _SEQUENCES):
            self._trace.alias_key(run_id, parent_run_id)
            return
        attributes = {"inputs": inputs}
        if node := (metadata or {}).get("langgraph_node"):
            attributes["node"] = node
        if parent_run_id is None and (thread := (metadata or {}).get("thread_id")):
            attributes["thread"] = str(thread)  # by which the runs of one conversation, or of one interrupted run, are found
            if getattr(inputs, "resume", None) is not None:  # LangGraph's `Command`
                attributes["resumes"] = True
        self._start("chain", name, run_id, parent_run_id, attributes)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A chain, graph or node ended."""
        streamed = kwargs.get("inputs")  # a stream's are known when it ended
        self._finish(run_id, {"outputs": outputs, **({"inputs": streamed} if streamed else {})})

    def on_chat_model_start(
        self,
        serialized: dict[str, Any],
        messages: list[list[BaseMessage]],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A chat model is called."""
        shown = [_with_role(message) for batch in messages for message in batch]
        self._start_model(shown, run_id, parent_run_id, kwargs)

    def on_llm_start(
        self,
        serialized: dict[str, Any],
        prompts: list[str],
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A completion model is called."""
        self._start_model([{"role": "user", "content": text} for text in prompts], run_id, parent_run_id, kwargs)

    def on_llm_end(self, response: LLMResult, *, run_id: UUID, **kwargs: Any) -> None:
        """A model answered."""
        generations = [generation for batch in response.generations for generation in batch]
        usages = [getattr(getattr(g, "message", None), "usage_metadata", None) or {} for g in generations]
        calls = [call for g in generations for call in _calls_of(getattr(g, "message", None))]
        self._finish(
            run_id,
            {
                "output": "\n".join(generation.text for generation in generations),
                "input_tokens": sum(usage.get("input_tokens", 0) for usage in usages),
                "output_tokens": sum(usage.get("output_tokens", 0) for usage in usages),
                **({"tool_calls": calls} if calls else {}),
            },
        )

    def on_tool_start(
        self,
        serialized: dict[str, Any],
        input_str: str,
        *,
        run_id: UUID,
        parent_run_id: UUID | None = None,
        **kwargs: Any,
    ) -> None:
        """A tool is called."""
        self._start(
            "tool",
            kwargs.get("name") or (serialized or {}).get("name") or "tool",
            run_id,
            parent_run_id,
            {"inputs": kwargs.get("inputs") or input_str},
        )

    def on_tool_end(self, output: Any, *, run_id: UUID, **kwargs: Any) -> None:
        """A tool answered."""
        self._finish(run_id, {"outputs": output})

    def on_retriever_start(
        self, serialized: dict[str, Any], query: str, *, run_id: UUID, parent_run_id: UUID | None = None, **kwargs: Any
    ) -> None:
        """A retriever is asked."""
        self._start("tool", kwargs.get("name") or "retriever", run_id, parent_run_id, {"inputs": query})

    def on_retriever_end(self, documents: Sequence[Any], *, run_id: UUID, **kwargs: Any) -> None:
        """A retriever answered."""
        self._finish(run_id, {"outputs": documents})

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **kwargs: Any) -> None:
        """A chain, graph or node raised."""
        self._finish(run_id, {}, error)

    on_llm_error = on_tool_error = on_retriever_error = on_chain_error

    def _start(self, kind: Any, name: str, run_id: UUID, parent: UUID | None, attributes: Mapping[str, Any]) -> None:
        trace = self._trace
        trace.start(kind, name, key=run_id, parent_id=trace.span_id(parent), attributes=attributes)

    def _start_model(self, messages: Sequence[Any], run_id: UUID, parent: UUID | None, kwargs: Mapping[str, Any]) -> None:
        parameters = kwargs.get("invocation_params") or {}
        name = parameters.get("model") or parameters.get("model_name") or (kwargs.get("metadata") or {}).get("ls_model_name")
        trace = self._trace
        trace.start_model(
            str(name or kwargs.get("name") or "model"),
            messages,
            descriptions=descriptions_of(parameters) if has_descriptions(parameters) else EMPTY,
            key=run_id,
            parent_id=trace.span_id(parent),
        )

    def _finish(self, run_id: UUID, attributes: Mapping[str, Any], error: BaseException | None = None) -> None:
        trace = self._trace
        if trace.owns_key(run_id):
            trace.finish(trace.span_id(run_id), attributes=attributes, error=error)


def _calls_of(message: Any) -> list[Any]:
    """Return the tool calls of an answer, also those whose arguments are no valid JSON."""
    return [*(getattr(message, "tool_calls", None) or ()), *(getattr(message, "invalid_tool_calls", None) or ())]


def _with_role(message: BaseMessage) -> Any:
    """Return a message with its role where the recorder can see it: a `ChatMessage`, such as a developer's, has one of its own."""
    return {"role": message.role, "content": message.content} if isinstance(message, ChatMessage) else message


class _HandlerOfRecording:
    """Looks like a ContextVar to LangChain; answers with the handler of the recording in this context."""

    def __init__(self) -> None:
        self._handlers: WeakKeyDictionary[Recorder, RecordingHandler] = WeakKeyDictionary()

    def get(self) -> RecordingHandler | None:
        recorder = current_recorder() if state.attached else None
        if recorder is None:
            return None
        handler = self._handlers.get(recorder)
        if handler is None:
            handler = self._handlers.setdefault(recorder, RecordingHandler(recorder))
        return handler


class _Done:
    """An awaitable that is done already."""

    def __await__(self) -> Iterator[Any]:
        return iter(())


_DONE = _Done()


async def _looks_like() -> None:
    """Never called: what it looks like is looked at."""


class _AtOnce:
    """A handler's method that does its work when it is called, and passes for a coroutine function.

    LangChain runs a sync handler's methods of an async run in a thread, each event one hop; what looks async it only awaits.
    `inspect.iscoroutinefunction` takes an object for a function when it has these attributes.
    """

    __slots__ = ("_method",)
    __code__ = _looks_like.__code__
    __name__ = "event"
    __defaults__ = None
    __kwdefaults__ = None
    __annotations__: dict[str, Any] = {}

    def __init__(self, method: Callable[..., None]) -> None:
        self._method = method

    def __call__(self, *args: Any, **kwargs: Any) -> _Done:
        self._method(*args, **kwargs)
        return _DONE


class _Event:
    """Gives a method of the handler as `_AtOnce`, which the handler keeps."""

    def __init__(self, name: str, method: Callable[..., None]) -> None:
        self._name = name
        self._method = method

    def __get__(self, handler: RecordingHandler | None, owner: object = None) -> Any:
        if handler is None:
            return self._method
        event = handler.__dict__[self._name] = _AtOnce(self._method.__get__(handler))
        return event


for _name in dir(RecordingHandler):  # the inherited ones too, which do nothing, and would take a thread for that
    if _name.startswith("on_"):
        setattr(RecordingHandler, _name, _Event(_name, getattr(RecordingHandler, _name)))


_hook = _HandlerOfRecording()
_registered = False


def attach() -> None:
    """Makes recordings see LangChain runs. The hook is registered once per process: LangChain offers no way back."""
    global _registered
    if not _registered:
        register_configure_hook(cast("Any", _hook), inheritable=True)
        _registered = True
    state.attached = True
    add_locator(locate)


def detach() -> None:
    """Makes the hook answer with nothing."""
    state.attached = False
    remove_locator(locate)
