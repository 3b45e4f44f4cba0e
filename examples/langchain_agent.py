"""LangChain, three ways in: adopted, by name, as a target. `python -m examples.langchain_agent`"""

from __future__ import annotations

from langchain_core.output_parsers import StrOutputParser
from langchain_core.prompts import ChatPromptTemplate
from langchain_openai import ChatOpenAI
from prompt_registry_adapters.langchain import RegistryChatPrompt

import prompt_registry_plugin as pr
from examples.simulated import CHATTY, INSTRUCTIONS, ROWS, a_model, only


def main() -> None:
    """Runs the three ways, one after the other."""
    with a_model() as name:
        model = ChatOpenAI(model=name)
        chain = ChatPromptTemplate.from_messages([("system", CHATTY), ("user", "{input}")]) | model | StrOutputParser()
        question = {"input": "my card was stolen"}

        # 1. Adopted, untouched: the hard-coded prompt is found in a recorded run, and served from the registry ever after.
        pr.enable("langchain")
        with pr.record() as trace:
            print("hard-coded:", chain.invoke(question))
        adopted = only(pr.adopt(trace, names={trace.prompts[0].proposed_name: "bank/classify"}))
        better = [{"role": "system", "content": INSTRUCTIONS}, {"role": "user", "content": "{{input}}"}]
        version = pr.register_prompt(adopted.name, better, commit_message="the label only")
        pr.set_prompt_alias(adopted.name, "production", version.version)
        print("version 2: ", chain.invoke(question))
        pr.rollback(adopted.name)
        print("version 1: ", chain.invoke(question))
        pr.set_prompt_alias(adopted.name, "production", version.version)

        # 2. By name, drop-in: a template whose text is a prompt of the registry.
        by_name = RegistryChatPrompt("prompts:/bank/classify@production") | model | StrOutputParser()
        print("by name:   ", by_name.invoke(question))

        # 3. As a target: the chain itself is what is measured (and optimized), version against version.
        for template in (adopted.template, better):
            result = pr.evaluate(predict_fn=chain, data=ROWS, scorers=["exact_match"], prompts={adopted.name: template})
            print("score:     ", result.score)


if __name__ == "__main__":
    main()
