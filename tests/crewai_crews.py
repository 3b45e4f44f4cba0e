"""Crews of CrewAI with simulated models, and every way to run one. Imported only where CrewAI is installed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from crewai import Agent, BaseLLM, Crew, Task


class Parrot(BaseLLM):
    """A simulated model of the user's own, which tells no events: it answers with the messages that it was shown."""

    def call(self, messages: Any, *_args: Any, **_kwargs: Any) -> Any:
        return "Thought: I now can give a great answer\nFinal Answer: " + said(messages).replace("Final Answer:", "Answer:")

    async def acall(self, messages: Any, *args: Any, **kwargs: Any) -> Any:
        return self.call(messages, *args, **kwargs)


def said(messages: Any) -> str:
    """The messages of a call as one text."""
    return messages if isinstance(messages, str) else "\n".join(str(message["content"]) for message in messages)


def agent(backstory: str, role: str = "clerk", llm: Any = None, **settings: Any) -> Agent:
    """An agent with a simulated model."""
    llm = llm or Parrot(model="parrot")
    settings = {"goal": "Serve the customers of the bank", **settings}
    return Agent(role=role, backstory=backstory, llm=llm, **settings)


def crew_of(clerk: Agent, description: str = "Answer this: {input}", **settings: Any) -> Crew:
    """A crew with one task."""
    task = Task(name="reply", description=description, expected_output="A friendly answer", agent=clerk, **settings)
    return Crew(agents=[clerk], tasks=[task])


def kickoff(crew: Crew, text: str) -> str:
    """`Crew.kickoff`."""
    return str(crew.copy().kickoff(inputs={"input": text}))


async def kickoff_async(crew: Crew, text: str) -> str:
    """`Crew.kickoff_async`."""
    return str(await crew.copy().kickoff_async(inputs={"input": text}))


async def akickoff(crew: Crew, text: str) -> str:
    """`Crew.akickoff`."""
    return str(await crew.copy().akickoff(inputs={"input": text}))


def for_each(crew: Crew, text: str) -> str:
    """`Crew.kickoff_for_each`."""
    return str(crew.kickoff_for_each(inputs=[{"input": text}])[0])


def stream(crew: Crew, text: str) -> str:
    """`Crew.kickoff` with streamed answers."""
    copied = crew.copy()
    copied.stream = True
    output = copied.kickoff(inputs={"input": text})
    for _chunk in output:
        pass
    return str(output.result)


def styles() -> Mapping[str, Any]:
    """Every way that this version of CrewAI has."""
    found: dict[str, Any] = {"kickoff": kickoff, "kickoff_async": kickoff_async, "for_each": for_each, "stream": stream}
    return {**found, "akickoff": akickoff} if hasattr(Crew, "akickoff") else found
