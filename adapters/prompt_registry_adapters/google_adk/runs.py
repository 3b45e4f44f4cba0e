"""The run of an agent: its span, and what its instructions and tools leave for the model calls in it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from contextvars import ContextVar, Token
from dataclasses import dataclass, field
from functools import wraps
from typing import Any

from prompt_registry_plugin.frameworks import prompts as framework_prompts
from prompt_registry_plugin.prompts.context import Place, Recorder, current_recorder
from prompt_registry_plugin.tracing.recorder import inside
from prompt_registry_plugin.uri import SCHEME


class _State:
    attached = False


state = _State()


@dataclass(slots=True)
class AgentRun:
    """One run of an agent. The model calls in it see the same object, whatever context they run in."""

    agent: Any
    instructions: dict[str, str] = field(default_factory=dict)
    """The instructions as they were given last, by the field of the agent."""
    open_tools: list[str] = field(default_factory=list)
    """The spans of tools that have begun."""


_run: ContextVar[AgentRun | None] = ContextVar("prompt_registry_adk_run", default=None)
current_run: Callable[[], AgentRun | None] = _run.get


def note_instruction(node: str, text: str) -> None:
    """Keep an instruction, so that it is found in the request of the next model call."""
    run = _run.get()
    if run is not None:
        run.instructions[node] = text


def place_of(agent: Any) -> Place:
    """Return the place of the texts that the agent whose turn it is sends."""
    run = _run.get()
    return Place(node="instruction", graph=getattr(run.agent if run else agent, "name", None) or "agent")


def agents_near(agent: Any) -> list[Any]:
    """Return an agent and those that it may hand over to."""
    parent = getattr(agent, "parent_agent", None)
    found = [agent, *(getattr(agent, "sub_agents", None) or ())]
    if parent is not None:
        found += [parent, *(peer for peer in getattr(parent, "sub_agents", None) or () if peer is not agent)]
    return found


def wrap_run_async(original: Callable[..., AsyncIterator[Any]]) -> Callable[..., AsyncIterator[Any]]:
    """Make a span of each run of an agent, and keep its run for what happens inside."""

    @wraps(original)
    def run_async(self: Any, parent_context: Any) -> AsyncIterator[Any]:
        events = original(self, parent_context)
        if not state.attached or not (framework_prompts.is_active() or _names_prompts(self)):
            return events
        return _follow(AgentRun(self), current_recorder(), events, parent_context)

    return run_async


async def _follow(run: AgentRun, recorder: Recorder | None, events: Any, context: Any) -> AsyncIterator[Any]:
    span_id = None
    if recorder is not None:
        inputs = message_text(getattr(context, "user_content", None))
        span_id = recorder.start("agent", run.agent.name, attributes={"inputs": inputs} if inputs else {})
    answer, error = "", None
    try:
        while True:
            with inside(span_id), _InRun(run):  # not while the event is used
                event = await anext(events, None)
            if event is None:
                break
            if recorder is not None and not getattr(event, "partial", None) and event.author == run.agent.name:
                answer = message_text(event.content) or answer
            yield event
    except GeneratorExit:
        raise  # whoever used the events had enough
    except BaseException as failure:
        error = failure
        raise
    finally:
        if recorder is not None:
            for tool in run.open_tools:  # cancelled, or failed where this version of ADK tells no plugin
                recorder.finish(tool, error=error)
            recorder.finish(span_id, attributes={"outputs": answer} if answer else {}, error=error)
        with inside(span_id), _InRun(run):
            await events.aclose()


class _InRun:
    """A block of code of one run."""

    __slots__ = ("_run", "_token")

    def __init__(self, run: AgentRun) -> None:
        self._run = run

    def __enter__(self) -> None:
        self._token: Token[AgentRun | None] = _run.set(self._run)

    def __exit__(self, *_error: object) -> None:
        with suppress(ValueError):  # a stream may end in another context than the one it started in
            _run.reset(self._token)


def message_text(content: Any) -> str:
    """Return the text of a message of ADK's, without thoughts and parts of other kinds."""
    parts = getattr(content, "parts", None) or ()
    return "".join(part.text for part in parts if part.text and not getattr(part, "thought", None))


def _names_prompts(agent: Any) -> bool:
    """Return whether a text that ADK takes from an agent as it is may be the address of a prompt."""
    texts = [getattr(agent, "static_instruction", None), *(getattr(each, "description", None) for each in agents_near(agent))]
    return any(isinstance(text, str) and SCHEME in text for text in texts)
