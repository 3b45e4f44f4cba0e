"""An agent with a prompt in each style that LangChain code has; it knows nothing of this project. Run by test_adoption_langchain."""

from __future__ import annotations

import asyncio
import sys
from typing import Any, TypedDict

from langchain.agents import create_agent
from langchain.agents.middleware import TodoListMiddleware
from langchain_core.messages import ChatMessage, HumanMessage, SystemMessage
from langchain_core.prompts import ChatPromptTemplate, PromptTemplate
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAI
from langgraph.graph import START, StateGraph
from pydantic import BaseModel, Field

CLERK = "You are the clerk of {bank}.\nAnswer {user} politely, in at most three sentences."
LOOK_UP = "Please look up the following topic for me, and name your sources: {topic}"
SHARED = "Work together with the other assistants, and prefix the final answer with FINAL. {system_message}"
CHARTS = "Draw the chart that {user} asked for, with a title and labelled axes."
RULES = "Never give legal advice, and say so when somebody asks for it."
BANNER = "Greet {user} by name before anything else is said."
SUMMARY = "Summarize what the customer {user} wrote in a single line of text."
DEVELOPER = "Prefer short words to long ones, as {user} asked us to."


@tool
def search(query: str) -> str:
    """Searches the archive of the bank for a document."""
    return query


class Verdict(BaseModel):
    """The verdict on a request of a customer."""

    answer: str = Field(description="Whether the request is granted: yes or no.")


class Decision(BaseModel):
    """The decision that goes to the archive."""

    answer: str = Field(description="One word for the decision.")


class State(TypedDict, total=False):
    messages: list[Any]


def model(**settings: Any) -> ChatOpenAI:
    return ChatOpenAI(model="gpt-stub", temperature=0, max_retries=0, **settings)


def by_format(user: str, topic: str) -> None:
    messages = [SystemMessage(CLERK.format(bank="ACME", user=user)), HumanMessage(LOOK_UP.format(topic=topic))]
    llm = model()
    llm.invoke(messages)
    list(llm.stream(messages))
    llm.batch([messages, messages])
    llm.generate([messages])

    async def run() -> None:
        await llm.ainvoke(messages)
        async for _ in llm.astream(messages):
            pass

    asyncio.run(run())
    model(use_responses_api=True).invoke(messages)


def by_f_string(user: str, topic: str) -> None:
    model().invoke([("system", f"You help {user} with the paperwork of a small company."), ("user", topic)])
    model().invoke(f"Translate the name of the topic {topic} into French, German and Italian.")


def by_outer_template(user: str, topic: str) -> None:
    chat = ChatPromptTemplate.from_messages([("system", SHARED), ("user", "{topic}")])
    (chat | model()).invoke({"system_message": CHARTS.format(user=user), "topic": topic})


def by_template(user: str, topic: str) -> None:
    (PromptTemplate.from_template("Write a limerick about {topic} for a birthday.") | model()).invoke({"topic": topic})


def by_blocks(user: str, topic: str) -> None:
    blocks: list[Any] = [
        {"type": "text", "text": BANNER.format(user=user)},
        {"type": "text", "text": RULES, "cache_control": {"type": "ephemeral"}},
    ]
    question: list[Any] = [
        {"type": "text", "text": LOOK_UP.format(topic=topic)},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
    ]
    model().invoke([SystemMessage(blocks), HumanMessage(question)])
    model().invoke([ChatMessage(role="developer", content=DEVELOPER.format(user=user)), HumanMessage(topic)])


def by_descriptions(user: str, topic: str) -> None:
    model().bind_tools([search]).invoke(topic)
    list(model().bind_tools([search]).stream(topic))
    assert type(model().with_structured_output(Verdict).invoke(topic)) is Verdict
    assert type(model().with_structured_output(Decision, method="function_calling").invoke(topic)) is Decision


def by_agents(user: str, topic: str) -> None:
    """Two agents of one text in a graph, one beside another middleware."""
    text = SUMMARY.format(user=user)
    first = create_agent(model(), tools=[search], system_prompt=text, middleware=[TodoListMiddleware()], name="reader")
    second = create_agent(model(), tools=[], system_prompt=f"You check the summaries that {user} is shown.", name="checker")
    graph = StateGraph(State).add_node("one", first).add_node("two", second)
    graph.add_edge(START, "one").add_edge("one", "two")
    graph.compile(name="team").invoke({"messages": [("user", topic)]})


def by_completion(user: str, topic: str) -> None:
    OpenAI(model="gpt-stub-instruct", max_retries=0).invoke(
        f"Continue the fairy tale that {user} began with these words: {topic}"
    )


STYLES = [by_format, by_f_string, by_outer_template, by_template, by_blocks, by_descriptions, by_agents, by_completion]


def run(user: str, topic: str) -> None:
    """Run every style."""
    for style in STYLES:
        style(user, topic)


if __name__ == "__main__":
    run(sys.argv[1], sys.argv[2])
