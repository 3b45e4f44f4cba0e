"""Which prompt answers: chosen by a configuration file, by a function, or by what it costs. Runs with a simulated model.

    python -m examples.routing

Each way loads its prompt when a question comes in, so that a promotion or a rollback counts at once, in whichever way it was chosen.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import prompt_registry_plugin as pr
from prompt_registry_plugin.config import AppConfig
from prompt_registry_plugin.config.apply import apply

CONFIG = Path(__file__).parent / "config" / "support.yaml"
COMPLICATED = ("why", "because", "after", "although", "every", "still")


def from_configuration(config: AppConfig, kind: str) -> pr.PromptVersion:
    """The prompt that the file names for a kind of question; `version:` and `alias:` in the file are what is served."""
    return config.prompts[kind].load()


def by_content(question: str) -> pr.PromptVersion:
    """The prompt whose words fit; a model's answer may decide as well (see the agent `router` in the file)."""
    said = question.lower()
    if "charge" in said or "invoice" in said or "payment" in said:
        return pr.load_prompt("prompts:/support/billing@production")
    if "error" in said or "connection" in said:
        return pr.load_prompt("prompts:/support/technical@production")
    return pr.load_prompt("prompts:/support/general")


def by_cost(question: str, most_dollars: float, price: pr.records.Price) -> tuple[pr.PromptVersion, float]:
    """The fuller of two prompts where the question deserves it and its cost stays within bounds, and that cost in US dollars.

    A prompt costs what its own words take, with each call, and what it makes the model say.
    """
    choices = [("prompts:/support/detailed", 400), ("prompts:/support/concise", 40)]
    is_complicated = len(question.split()) > 12 or any(word in question.lower().split() for word in COMPLICATED)
    for uri, answer_tokens in choices if is_complicated else choices[1:]:
        prompt = pr.load_prompt(uri)
        tokens = pr.records.Usage(len(prompt.format(question=question)) // 4, answer_tokens, 1)
        if price.of(tokens) <= most_dollars:
            break
    return prompt, price.of(tokens)


def main() -> None:
    """Shows the three ways on a few questions."""
    with tempfile.TemporaryDirectory() as folder:
        os.environ["PROMPT_REGISTRY_URL"] = f"sqlite:///{folder}/prompts.db"
        config = AppConfig.from_file(CONFIG)
        apply(config)
        print("configured for billing:", from_configuration(config, "billing").uri)
        for question in ("Why was I charged twice?", "I get an error", "Where is your shop?"):
            prompt, dollars = by_cost(question, 0.002, pr.records.Price(0.5, 4.0))
            print(f"{question:28} by content {by_content(question).uri:32} by cost {prompt.uri} (${dollars:.6f})")
        agent = config.agents["router"].as_target()
        print("a simulated model says:", agent.predict({"question": "My invoice is wrong"}))
        pr.current_registry().close()


if __name__ == "__main__":
    main()
