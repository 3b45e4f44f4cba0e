"""A bank's message triage: one step routes a message to a department, the next names the intent within it."""

import os
from typing import TypedDict

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, StateGraph

llm = ChatOpenAI(model=os.environ.get("BANKING_MODEL", "gpt-5-mini"), temperature=0)

ROUTE = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "You route messages of a bank's customers to a department.\n"
            "Departments: cards, transfers, top_up.\n"
            "Answer with the department only.",
        ),
        ("human", "Message: {message}"),
    ]
)

CLASSIFY = ChatPromptTemplate.from_messages(
    [
        (
            "system",
            "You name the intent of a bank customer's message, given the department in charge.\n"
            "The intents of each department:\n"
            "cards: card_arrival, card_delivery_estimate, card_not_working, lost_or_stolen_card\n"
            "transfers: declined_transfer, failed_transfer, pending_transfer, transfer_timing\n"
            "top_up: pending_top_up, top_up_failed, top_up_limits, top_up_reverted\n"
            "Answer with the intent only.",
        ),
        ("human", "Department: {department}\nMessage: {message}"),
    ]
)


class Triage(TypedDict, total=False):
    message: str
    department: str
    intent: str


def route(state: Triage) -> Triage:
    chain = ROUTE | llm | StrOutputParser()
    return {"department": chain.invoke({"message": state["message"]})}


def classify(state: Triage) -> Triage:
    chain = CLASSIFY | llm | StrOutputParser()
    return {"intent": chain.invoke({"department": state["department"], "message": state["message"]})}


builder = StateGraph(Triage)
builder.add_node("route", route)
builder.add_node("classify", classify)
builder.add_edge(START, "route")
builder.add_edge("route", "classify")
builder.add_edge("classify", END)
graph = builder.compile()
