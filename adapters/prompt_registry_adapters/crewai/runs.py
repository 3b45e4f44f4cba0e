"""The spans of crews and agents, and what the texts of a run leave for the model calls in it. Begun in the caller's thread."""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from prompt_registry_plugin.concurrency import is_in_loop
from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.frameworks.adapter import Seam
from prompt_registry_plugin.prompts.context import current_recorder
from prompt_registry_plugin.tracing.recorder import inside


class _State:
    attached = False
    before_run: Callable[[], None] = staticmethod(lambda: None)  # called before a crew or an agent runs


state = _State()


@dataclass(slots=True)
class AgentRun:
    """One run of an agent. The model calls in it see the same object, whatever thread they run in."""

    name: str
    agent: Any
    texts: dict[str, None] = field(default_factory=dict)
    """The texts of the agent and the task, as they are sent."""


_run: ContextVar[AgentRun | None] = ContextVar("prompt_registry_crewai_run", default=None)
current_run: Callable[[], AgentRun | None] = _run.get


def agent_name(agent: Any) -> str:
    """Return the role of an agent as its code has it."""
    return str(getattr(agent, "_original_role", None) or agent.role or "agent").strip()


def note_texts(texts: Iterable[Any]) -> None:
    """Keep the texts of an agent or a task, so that they are found in the messages of the model calls of this run."""
    run = _run.get()
    if run is not None:
        run.texts.update(dict.fromkeys(text for text in texts if isinstance(text, str) and text.strip()))


def seams() -> Iterable[Seam]:
    """Return the methods that run crews and agents."""
    from crewai import Agent, Crew

    wrapped: list[Seam] = [(Crew, "kickoff", _wrap_sync(_crew_span)), (Agent, "execute_task", _wrap_sync(_task_span))]
    wrapped.append((Agent, "kickoff", _wrap_sync(_talk_span)))
    for owner, method, begin in (
        (Crew, "akickoff", _crew_span),
        (Agent, "aexecute_task", _task_span),
        (Agent, "kickoff_async", _talk_span),
    ):
        if inspect.iscoroutinefunction(owner.__dict__.get(method)):
            wrapped.append((owner, method, _wrap_async(begin)))
    return wrapped


class Block:
    """The span of a run, and the block of code in it."""

    def __init__(self, kind: Any, name: str, inputs: Any, run: AgentRun | None) -> None:
        self._recorder = current_recorder()
        self._span_id: str | None = None
        if self._recorder is not None:
            self._span_id = self._recorder.start(kind, name, attributes={"inputs": inputs} if inputs else {})
        self._inside = inside(self._span_id)
        self._run = run
        self._token: Token[AgentRun | None] | None = None

    def __enter__(self) -> Block:
        self._inside.__enter__()
        if self._run is not None:
            self._token = _run.set(self._run)
        return self

    def __exit__(self, _type: object, error: BaseException | None, _traceback: object) -> None:
        if self._token is not None:
            with suppress(ValueError):  # begun in another context
                _run.reset(self._token)
        self._inside.__exit__()
        if self._recorder is not None:
            self._recorder.finish(self._span_id, error=error)

    def end(self, result: Any) -> None:
        """End the span with what came out."""
        if self._recorder is not None:
            with suppress(Exception):  # an output of the user's own class may have no text; the agent goes on
                output = getattr(result, "raw", result)
                self._recorder.finish(self._span_id, attributes={"outputs": output if isinstance(output, str) else str(output)})


Begin = Callable[[Any, tuple[Any, ...], dict[str, Any]], Block | None]


def _crew_span(crew: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Block | None:
    if getattr(crew, "stream", False):
        return None  # it returns at once, and calls the same method while its pieces are read
    return Block("chain", str(crew.name or "crew"), kwargs.get("inputs") or (args[0] if args else None), None)


def _task_span(agent: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Block:
    task = kwargs.get("task") or (args[0] if args else None)
    name = agent_name(agent)
    return Block("agent", name, getattr(task, "description", None), AgentRun(name, agent))


def _talk_span(agent: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Block | None:
    current = _run.get()
    if current is not None and current.agent is agent:
        return None  # one of its own methods called another
    messages = kwargs.get("messages") or (args[0] if args else None)
    name = agent_name(agent)
    return Block("agent", name, messages, AgentRun(name, agent))


def _wrap_sync(begin: Begin) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def wrap(original: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(original)
        def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            if not _is_wanted() or (
                begin is _talk_span and is_in_loop()
            ):  # inside a loop it returns a coroutine of its async form
                return original(self, *args, **kwargs)
            block = begin(self, args, kwargs)
            if block is None:
                return original(self, *args, **kwargs)
            with block:
                result = original(self, *args, **kwargs)
                block.end(result)
            return result

        return method

    return wrap


def _wrap_async(begin: Begin) -> Callable[[Callable[..., Awaitable[Any]]], Callable[..., Awaitable[Any]]]:
    def wrap(original: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @wraps(original)
        async def method(self: Any, *args: Any, **kwargs: Any) -> Any:
            block = begin(self, args, kwargs) if _is_wanted() else None
            if block is None:
                return await original(self, *args, **kwargs)
            with block:
                result = await original(self, *args, **kwargs)
                block.end(result)
            return result

        return method

    return wrap


def _is_wanted() -> bool:
    if not (state.attached and framework_prompts.is_active()):
        return False
    state.before_run()
    return True
