"""Makes `registry-0.1.0.sqlite`: a registry file as version 0.1.0 (commit f130b48) leaves it, for tests that a later version opens it.

It was run once, with the code of 0.1.0 and nothing newer, installed as users have it (a copy of `prompt_registry_plugin` and
`prompt_registry_adapters` in a folder called `site-packages`, which stands first on the path; the folder after it holds `tests/simulated_target.py`):

    cd / && PYTHONPATH=/tmp/fixture_install/site-packages:/work/old /work/oldvenv/bin/python /work/fixture/make_registry.py

The working directory is `/`, which is everywhere, since a run is resumed where it was started. All models are simulated (`offline:…`).

What is in it:

- prompts: `intent` (three versions, version 2 deleted, `production` rolled back), `support` (chat, includes `footer@production`, typed variables, response
  format, model config, tools, a protected `production`), `footer` (text), `letter` (Jinja), `old/greeting` (archived), `bank/classify` (a hard-coded
  text of a LangChain chain that was adopted, and a second version in production), `route` (from a configuration file), `sort` and `name`
  (those of `tests.simulated_target`, with versions that an optimization registered and promoted)
- traces: a function, a function that failed, a LangChain run, a function in a tracked run, a tracked run that failed, saved tries; feedback on some
- data set `intents` in two versions
- tracked runs: `nightly` and `broken` of the experiment `/support/quality`, and one for each version that was tried
- optimization runs: one finished; one killed (`running`) and two stopped (`interrupted`) in the middle of their search, one of them of a
  `PromptAgent` with built-in scorers, the other of a configuration file
- kept rollouts: of an evaluation and a comparison (cache `nightly`, scorers made from recipes), of one with `exact_match` (cache `plain`), and of a
  function of the user's (cache `function`)
"""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing, suppress
from pathlib import Path

HERE = Path(__file__).parent
FILE = HERE / "registry-0.1.0.sqlite"
os.environ["PROMPT_REGISTRY_URL"] = f"sqlite:///{FILE}"
os.environ["PROMPT_REGISTRY_USER"] = "ann"

import prompt_registry_plugin as pr  # noqa: E402
import prompt_registry_plugin.mlflow as mlflow  # noqa: E402

VAGUE = "Which is it: card, loan or transfer? Say what you think.\n\nText: {{text}}"
CLEAR = (
    "Which is it: card, loan or transfer? Answer with the label only.\n\n- card: plastic, pin\n- loan: interest, credit\n"
    "- transfer: send, payment\n\nText: {{text}}"
)
SAID = {
    "card": ["my plastic is broken", "the pin is wrong", "plastic got stuck in the machine", "the chip does not work", "cashpoint kept it",
             "contactless is refused", "a new pin please", "the chip is scratched", "contactless stopped", "cashpoint refused it"],
    "loan": ["how high is the interest", "a credit for a house", "interest went up", "my mortgage is due", "borrow some money",
             "another credit please", "the mortgage of my flat", "borrow for a car", "interest next year", "credit was declined"],
    "transfer": ["send money to Peru", "the payment is late", "payment never arrived", "iban is unknown", "wire it abroad",
                 "send it again", "iban has changed", "wire to my sister", "a payment too many", "send less"],
}  # fmt: skip
ROWS = [
    {"inputs": {"text": text}, "expectations": {"expected_response": label}} for label, texts in SAID.items() for text in texts
]
QUIET = pr.RunOptions(concurrency=4, on_event=lambda event: None)


def prompts() -> None:
    """Registers, moves, tags, protects, archives, deletes."""
    pr.register_prompt("intent", VAGUE, commit_message="first", tags={"quality": "poor"})
    pr.register_prompt("intent", "Say card or loan.\n\nText: {{text}}", commit_message="a mistake")
    pr.register_prompt(
        "intent",
        CLEAR,
        commit_message="the label only",
        model_config={"provider": "offline", "model_name": "task", "temperature": 0.5},
    )
    pr.set_prompt_tag("intent", "team", "care")
    pr.set_prompt_version_tag("intent", 3, "quality", "good")
    pr.set_prompt_version_tag("intent", 3, "checked", "no")
    pr.delete_prompt_version_tag("intent", 3, "checked")
    pr.set_prompt_alias("intent", "production", 1, reason="go live")
    pr.set_prompt_alias("intent", "staging", 2)
    pr.set_prompt_alias("intent", "production", 3, reason="fewer wrong labels")
    pr.rollback("intent", reason="too short for the phone")
    pr.set_prompt_alias("intent", "production", 3, reason="the phone can do it now", expected_version=1)
    pr.delete_prompt_alias("intent", "staging", reason="not needed")
    pr.delete_version("intent", 2, confirm=True, reason="a mistake")

    pr.register_prompt("footer", "Sincerely, the {{bank}} bank. Zürich · 銀行", commit_message="with a name")
    pr.set_prompt_alias("footer", "production", 1)
    pr.register_prompt(
        "support",
        [
            {
                "role": "system",
                "content": 'You help customers of {{bank}}, {{tone}}. Answer as {"json": {"n": {{count}}}}. {{> footer@production}}',
            },
            {"type": "placeholder", "name": "history", "optional": True},
            {"role": "user", "content": [{"type": "text", "text": "{{question}}"}], "name": "customer"},
        ],
        commit_message="a chat",
        tags={"team": "care", "owner": "Ånn"},
        variables={"count": {"type": "integer", "minimum": 1}, "tone": {"enum": ["short", "long"]}},
        response_format={"type": "object", "properties": {"answer": {"type": "string"}}, "required": ["answer"]},
        model_config={
            "provider": "openai",
            "model_name": "gpt-x",
            "temperature": 0.2,
            "max_tokens": 300,
            "stop_sequences": ["END"],
        },
        tools=[
            {
                "type": "function",
                "function": {"name": "find_card", "parameters": {"type": "object", "properties": {"id": {"type": "string"}}}},
            }
        ],
    )
    pr.set_prompt_alias("support", "production", 1)
    pr.protect_alias("support", "production", reason="customers see it")
    pr.register_prompt("support", [{"role": "user", "content": "{{question}}"}], commit_message="shorter", parent=1)
    pr.set_prompt_alias("support", "production", 2, force=True, reason="an outage of the long one")
    pr.rollback("support", force=True, reason="the outage is over")

    pr.register_prompt(
        "letter", "Dear {{ name }},\n{% for item in items %}- {{ item | upper }}\n{% endfor %}", template_format="jinja2"
    )
    pr.register_prompt("old/greeting", "Hello {{name}}")
    pr.archive_prompt("old/greeting", reason="nobody says hello")


def a_chain() -> object:
    """An agent of somebody's, with a hard-coded prompt."""
    from langchain_core.language_models import FakeListChatModel
    from langchain_core.output_parsers import StrOutputParser
    from langchain_core.prompts import ChatPromptTemplate

    template = ChatPromptTemplate.from_messages([("system", "Say card or loan, as {{json}}."), ("human", "{question}")])
    return template | FakeListChatModel(responses=["card"]) | StrOutputParser()


def adoption() -> None:
    """Records a run of the chain, adopts its prompt and improves it."""
    pr.enable("langchain")
    chain = a_chain()
    with pr.record("hard-coded") as trace:
        chain.invoke({"question": "my plastic broke"})
    [use] = trace.prompts
    [adopted] = pr.adopt(trace, names={use.proposed_name: "bank/classify"})
    better = [{"role": "system", "content": "Say card or loan only."}, {"role": "user", "content": "{{question}}"}]
    pr.register_prompt("bank/classify", better, parent=adopted.version)
    pr.set_prompt_alias("bank/classify", "production", 2, reason="only the label")
    with pr.record("adopted"):
        chain.invoke({"question": "how high is the interest?"})
    pr.disable()


@pr.trace
def classify(text: str) -> str:
    """A step that is recorded."""
    if not text:
        raise ValueError("nothing was said")
    return pr.PromptAgent("prompts:/intent@production", "offline:task").predict({"text": text})


def traces() -> None:
    """Functions that are recorded, what people say of them, tries and tracked runs."""
    found = []
    for text in ("my plastic is broken", "interest went up", "the payment is late", ""):
        with suppress(ValueError), pr.record("production") as trace:
            found.append(trace)
            classify(text)
    pr.current_registry().flush()
    pr.log_feedback(found[0].id, True)
    pr.log_feedback(found[1].id, False, rationale="rude", expectations={"expected_response": "loan"})
    pr.log_feedback(found[1].id, 0.5, name="helpful")
    pr.log_feedback(found[3].id, expectations={"expected_response": "please say more"})
    for text in ("the pin is wrong", "send it again"):
        uris = ["prompts:/intent/1", "prompts:/intent@production"]
        pr.try_prompts(uris, {"text": text}, models=["offline:task"], params={"temperature": 0}, save=True)

    mlflow.set_experiment("/support/quality")
    with mlflow.start_run(run_name="nightly"):
        mlflow.log_params({"prompt_version": 3, "model": "offline:task"})
        mlflow.log_metric("quality", 0.5)
        mlflow.log_metric("quality", 0.75, step=2)
        mlflow.set_tag("team", "care")
        mlflow.trace(classify)("cashpoint kept it")
        agent = pr.PromptAgent("prompts:/intent@production", "offline:task")
        mlflow.genai.evaluate(ROWS[:4], ["exact_match"], lambda text: agent.predict({"text": text}))
    with suppress(ZeroDivisionError), mlflow.start_run(run_name="broken"):
        mlflow.trace(lambda: 1 / 0, name="divide")()


def datasets() -> None:
    """Two versions of one data set."""
    pr.register_dataset("intents", ROWS[::5], commit_message="a fifth of them")
    more = [
        *ROWS[1::10],
        {"inputs": ROWS[0]["inputs"], "expectations": {"expected_response": "card", "expected_facts": ["card"]}},
    ]
    pr.merge_records("intents", more, commit_message="and more")


def stopping(after: int, how: signal.Signals) -> pr.RunOptions:
    """Options of a run that ends its process, as Ctrl-C or a crash would, after so many rollouts of its search."""

    def stop(event: pr.Event) -> None:
        if event.kind == "rollout" and event.task == "optimize" and event.done >= after:
            os.kill(os.getpid(), how)

    return pr.RunOptions(concurrency=2, on_event=stop)


def of_functions(repeats: int, options: pr.RunOptions) -> pr.PromptOptimizationResult:
    """An optimization of `tests.simulated_target`: a function, its scorer and its reflection model, all found by name."""
    from tests import simulated_target as target

    return pr.optimize_prompts(
        predict_fn=target.predict,
        train_data=target.rows(repeats),
        eval_data=target.rows(1, start=100),
        prompt_uris=target.register() if options is QUIET else ["prompts:/sort/1", "prompts:/name/1"],
        scorers=[target.right],
        reflection_model=target.reflect,
        budget=45,
        options=options,
    )


def finished_run() -> None:
    """Proves a gain; its versions are promoted."""
    result = of_functions(2, QUIET)
    print(result)
    result.promote("production")


def killed_run() -> None:
    """Its process dies in the middle of the search."""
    of_functions(2, stopping(22, signal.SIGKILL))


def run_of_an_agent() -> None:
    """Ctrl-C in the middle of the search. Agent, scorers and models are all known by name."""
    with suppress(KeyboardInterrupt):
        pr.optimize_prompts(
            predict_fn=pr.PromptAgent("prompts:/intent@production", "offline:task", temperature=0),
            train_data=ROWS[::3],
            eval_data=ROWS[1::3],
            prompt_uris=["prompts:/intent/1"],
            scorers=[
                "exact_match",
                pr.Length(max_words=3),
                pr.Correctness("offline:judge"),
                mlflow.genai.scorers.Guidelines(guidelines="Be brief.", model="offline:judge", name="brief"),
            ],
            reflection_model="offline:reflection",
            budget=50,
            options=stopping(16, signal.SIGINT),
        )


CONFIG = """
resources:
  llms: {small: {name: "offline:task"}, judge: {name: "offline:judge", temperature: 0.1}, reflection: {name: "offline:reflection"}}
prompts:
  route: {name: route, alias: production, default_template: "Which is it: card, loan or transfer?\\n\\nText: {{text}}"}
agents:
  router: {name: router, model: small, prompt: route}
optimizations:
  prompt_optimizations:
    routing: {name: routing, prompt: route, agent: router, dataset_name: intents, reflection_model: reflection, scorer_model: judge,
              temperature: 0.7, budget: 40, register: if_better}
"""


def run_of_a_configuration() -> None:
    """The same, as `prompt-registry apply FILE --optimize routing` does it: models with settings."""
    file = HERE / "config.yaml"
    file.write_text(CONFIG)
    try:
        config = pr.AppConfig.from_file(file)
        config.prompts["route"].register()
        with suppress(KeyboardInterrupt):
            config.optimizations.prompt_optimizations["routing"].run(stopping(12, signal.SIGINT))
    finally:
        file.unlink()


# Run without a file of its own, so that nothing of the user's counts: `files` of what is kept stays empty.
KEPT = """
import prompt_registry_plugin as pr
agent = pr.PromptAgent("prompts:/intent@production", "offline:task", temperature=0)
scorers = [pr.Length(max_words=3), pr.Regex("^(card|loan|transfer)$"), pr.Correctness("offline:judge")]
nightly = pr.RunOptions(concurrency=4, cache="nightly", on_event=lambda event: None)
print(pr.evaluate(predict_fn=agent, data="datasets:/intents", scorers=scorers, options=nightly).score)
rows = list(pr.load_dataset("intents", 1))[:2]
pr.compare(predict_fn=agent, data=rows, scorers=scorers, prompts=["prompts:/intent/1", "prompts:/intent/3"], options=nightly)
plain = pr.RunOptions(cache="plain", on_event=lambda event: None)
pr.evaluate(predict_fn=agent, data=rows, scorers=["exact_match"], options=plain)
"""
KEPT_OF_A_FUNCTION = """
import prompt_registry_plugin as pr
from tests import simulated_target as target
options = pr.RunOptions(cache="function", on_event=lambda event: None)
pr.evaluate(predict_fn=target.predict, data=target.rows(1)[:2], scorers=[target.right], options=options)
"""


def main() -> None:
    """Everything, each part in a process of its own."""
    assert pr.__version__ == "0.1.0"
    assert "site-packages" in str(pr.__file__)
    for file in HERE.glob(f"{FILE.name}*"):
        file.unlink()
    for step in (prompts, adoption, traces, datasets, finished_run, killed_run, run_of_an_agent, run_of_a_configuration):
        print(step.__name__, subprocess.run([sys.executable, __file__, step.__name__], check=False).returncode, flush=True)
    for code in (KEPT, KEPT_OF_A_FUNCTION):
        subprocess.run([sys.executable, "-c", code], check=True)
    with closing(sqlite3.connect(FILE, isolation_level=None)) as raw:
        raw.execute("VACUUM")
        print(raw.execute("PRAGMA integrity_check").fetchall(), raw.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
    print([(file.name, file.stat().st_size) for file in HERE.glob(f"{FILE.name}*")])  # closing takes -wal and -shm away


if __name__ == "__main__":
    if len(sys.argv) > 1:
        globals()[sys.argv[1]]()
        pr.current_registry().close()
    else:
        main()
