"""Prompts that are put together in code: recorded in one process, adopted, and served in another process with other input."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.errors import AliasConflict, PromptExists, PromptNotRendered, UserError
from prompt_registry_plugin.frameworks import notices
from prompt_registry_plugin.frameworks.prompts import serve_description, serve_text, serve_values
from prompt_registry_plugin.prompts import context as pr_context
from prompt_registry_plugin.prompts.context import Place
from prompt_registry_plugin.records import TextBinding, digest
from prompt_registry_plugin.tracing.recorder import span

from .conftest import run_python

PROMPTS = """
CLERK = "You are the clerk of {bank}.\\nAnswer {user} politely, in at most three sentences."
RULES = "Mention the number {number} in every single answer that you give."
RESEARCH = "You are a research assistant. {rules} Finish with a short summary of it all."
QUESTION = "Please look up the following topic for me: {topic}"
FIXED = "You translate everything that you are told into plain English."
"""

AGENT = """
import prompts
from prompt_registry_plugin.frameworks.prompts import serve_description, serve_text
from prompt_registry_plugin.prompts.context import Place, current_recorder
from prompt_registry_plugin.tracing.recorder import span

sent = []

def call(node, system, user, **tools):
    place = Place(graph="bank", node=node)
    system = [serve_text(serve_text(text, "system", place), "system", place) for text in system]
    user = serve_text(serve_text(user, "user", place), "user", place)
    tools = {f"tools/{name}": serve_description(text, f"tools/{name}", place) for name, text in tools.items()}
    sent.append({"system": system, "user": user, **tools})
    recorder = current_recorder()
    if recorder is not None:
        blocks = [{"type": "text", "text": text} for text in system]
        messages = [{"role": "system", "content": blocks}, {"role": "user", "content": user}]
        recorder.finish(recorder.start_model("m", messages, descriptions=tools, place=place), attributes={"output": "ok"})

def run(name, question, number):
    sent.clear()
    with span("agent", "bank", {"inputs": {"question": question, "name": name}}):
        call("clerk", [prompts.CLERK.format(bank="ACME", user=name)], question, search="Searches the mail of the customer.")
        research = prompts.RESEARCH.format(rules=prompts.RULES.format(number=number))
        call("research", [research, prompts.FIXED], prompts.QUESTION.format(topic=question))
        call("note", [f"Today {name} asks for a note of {number} words, no more and no less."], question)
    return sent
"""

RECORD = """
import json, sys
import prompt_registry_plugin as pr, agent
with pr.record("bank") as trace:
    agent.run(*sys.argv[1:4])
adopted = pr.adopt(trace, descriptions=True)
print(json.dumps({"names": [v.name for v in adopted], "table": str(adopted), "sent": agent.sent}))
"""

SERVE = """
import json, sys
import agent
import prompt_registry_plugin as pr
pr.current_registry()
print(json.dumps(agent.run(*sys.argv[1:4])))
"""


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program whose prompts stand in a module of their own."""
    (tmp_path / "prompts.py").write_text(PROMPTS)
    (tmp_path / "agent.py").write_text(AGENT)
    return tmp_path


def python(code: str, *arguments: str, cwd: Path) -> Any:
    """Run code in a new process in the folder of the program, and return the JSON that it prints."""
    code = f"import sys; sys.path.insert(0, {str(cwd)!r}); sys.argv[1:] = {list(arguments)!r}\n{code}"
    done = run_python(code, cwd=cwd)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def promote(names: list[str], mark: str = "[v2] ") -> None:
    """Register and promote a version of each prompt that begins with a mark."""
    for name in names:
        version = pr.register_prompt(name, mark + str(pr.load_prompt(name).template))
        pr.set_prompt_alias(name, "production", version.version)


@pytest.mark.process
def test_templates_are_adopted_and_served_in_another_process(program: Path) -> None:
    """With other input: the values are the new ones, nested prompts and descriptions are served too, and each text once."""
    recorded = python(RECORD, "Ada Lovelace", "What is a bond?", "42", cwd=program)
    assert recorded["names"] == [
        "prompts.CLERK", "bank/tools/search", "prompts.RESEARCH", "prompts.RULES", "prompts.FIXED", "prompts.QUESTION", "agent.run",
    ]  # fmt: skip
    assert recorded["sent"] == python(SERVE, "Ada Lovelace", "What is a bond?", "42", cwd=program), "version 1 is the code's text"
    for name, variables in (
        ("prompts.CLERK", {"bank", "user"}),
        ("prompts.RULES", {"number"}),
        ("agent.run", {"name", "number"}),
    ):
        assert pr.load_prompt(name).variables == variables
    promote(recorded["names"])
    assert python(SERVE, "Bob", "And a share?", "7", cwd=program) == [
        {
            "system": ["[v2] You are the clerk of ACME.\nAnswer Bob politely, in at most three sentences."],
            "user": "And a share?",
            "tools/search": "[v2] Searches the mail of the customer.",
        },
        {
            "system": [
                "[v2] You are a research assistant. [v2] Mention the number 7 in every single answer that you give. Finish with a short "
                "summary of it all.",
                "[v2] You translate everything that you are told into plain English.",
            ],
            "user": "[v2] Please look up the following topic for me: And a share?",
        },
        {"system": ["[v2] Today Bob asks for a note of 7 words, no more and no less."], "user": "And a share?"},
    ]


@pytest.mark.process
def test_no_value_of_a_recording_becomes_part_of_a_prompt(program: Path) -> None:
    """Names, questions and numbers that were sent stand in no template."""
    recorded = python(RECORD, "Ada Lovelace", "What is a bond?", "4242", cwd=program)
    texts = [str(version.template) for name in recorded["names"] for version in [pr.load_prompt(name)]]
    assert len(texts) == 7
    assert not [text for text in texts for value in ("Ada", "bond", "4242") if value in text]


@pytest.mark.process
def test_a_stored_trace_is_adopted_where_the_program_is_not_loaded(program: Path) -> None:
    """The explanations are on the trace; adopting twice changes nothing; `--name` and `--skip` are names of the table."""
    code = "import sys\nimport prompt_registry_plugin as pr, agent\nwith pr.record('bank') as t:\n    agent.run(*sys.argv[1:4])\nprint(0)"
    python(code, "Ada Lovelace", "What is a bond?", "42", cwd=program)
    command = [sys.executable, "-m", "prompt_registry_plugin", "adopt", "last", "--json"]
    chosen = ["--name", "prompts.CLERK=clerk/system", "--skip", "prompts.FIXED"]
    for _ in range(2):
        done = subprocess.run([*command, *chosen], capture_output=True, text=True, check=True)
        rows = {row["name"]: row["state"] for row in json.loads(done.stdout)["prompts"]}
        assert rows == {
            "clerk/system": "adopted", "bank/tools/search": "adoptable", "prompts.RESEARCH": "adopted", "prompts.RULES": "adopted",
            "prompts.FIXED": "adoptable", "prompts.QUESTION": "adopted", "agent.run": "adopted",
        }  # fmt: skip
        chosen = ["--skip", "prompts.FIXED"]
    assert pr.load_prompt("clerk/system").version == 1
    assert not pr.search_prompts("name = 'prompts.FIXED'")


# --- one process: a binding, and what is sent -----------------------------------------------------------------------------


def bind(name: str, template: str, *, place: str = "", role: Any = "system", strict: bool = False, **detail: Any) -> None:
    """Adopt a template as version 1 of a prompt."""
    version = pr.register_prompt(name, template)
    binding = TextBinding(digest(template), place, role, name, "production", version.version, strict, detail)
    pr.current_registry().store.prompts.adopt([], [binding], by="tester", reason=None)


def next_version(name: str, template: Any) -> None:
    """Register and promote another version."""
    pr.set_prompt_alias(name, "production", pr.register_prompt(name, template).version)


@pytest.fixture
def log(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> pytest.LogCaptureFixture:
    """The log, with no notice shown yet."""
    monkeypatch.setattr(notices, "_shown", set())
    caplog.set_level(logging.WARNING)
    return caplog


TEXT = "Greet Ada at noon, in one short sentence."


@pytest.mark.parametrize(
    ("template", "reason"),
    [
        ("Greet {{name}} at {{time}} in {{city}}.", "it needs 'city', which the text in the code does not have"),
        ("Greet {{name}}.", "it has no 'time', so the value that the code sends would be lost"),
        ([{"role": "system", "content": "Greet {{name}} at {{time}}."}], "it holds chat messages"),
    ],
)
def test_a_version_that_the_code_cannot_fill_is_reported_and_not_sent(
    log: pytest.LogCaptureFixture, template: Any, reason: str
) -> None:
    """The agent's own text is sent; the log names the version, the place and the variable, once."""
    bind("hello", "Greet {{name}} at {{time}}, in one short sentence.")
    next_version("hello", template)
    for _ in range(3):
        assert serve_text(TEXT, "system", Place(graph="g", node="n")) == TEXT
    [record] = [record for record in log.records if "own text" in record.getMessage()]
    assert reason in record.getMessage()
    assert "version 2 of 'hello' at g/n" in record.getMessage()


def test_what_is_missing_or_deleted_leaves_the_text_of_the_agent(log: pytest.LogCaptureFixture) -> None:
    """A deleted alias, and a deleted adopted version: nothing raises, the own text is sent, and `status` shows the binding."""
    bind("hello", "Greet {{name}} at {{time}}, in one short sentence.")
    registry = pr.current_registry()
    pr.register_prompt("hello", "Two {{name}} {{time}}")
    registry.delete_prompt_alias("hello", "production")
    assert serve_text(TEXT, "system") == TEXT
    assert "hello" in log.text
    registry.set_prompt_alias("hello", "production", 2)
    assert serve_text(TEXT, "system") == "Two Ada noon"
    registry.delete_version("hello", 1, confirm=True)
    assert serve_text(TEXT, "system") == TEXT
    assert "was deleted" in registry.loader.adopted_texts().problems[0]
    pr.set_prompt_alias("hello", "production", 2)
    registry.delete_prompt_alias("hello", "production")
    registry.delete_prompt("hello", confirm=True)
    assert registry.loader.adopted_texts().bindings == ()


def test_a_text_that_can_be_split_in_two_ways_is_left_alone(log: pytest.LogCaptureFixture) -> None:
    """And so is one that two adopted templates give equally well; the place that expects a prompt says so."""
    bind("pair", "Compare the two offers: {{a}} and {{b}}", place="g/n", alone=True)
    next_version("pair", "Which of them is better? {{b}} / {{a}}")
    text = "Compare the two offers: tea and milk and coffee"
    assert serve_text(text, "system", Place(graph="g", node="n")) == text
    assert "more than one way" in log.text
    assert serve_text("Compare the two offers: tea and milk", "system") == "Which of them is better? milk / tea"
    bind("other", "Compare the two {{things}}: tea and milk!!", place="g/n")
    bind("again", "Compare the {{number}} offers: tea and milk!!", place="g/n")
    both = "Compare the two offers: tea and milk!!"
    assert serve_text(both, "system", Place(graph="g", node="n")) in (both, "Which of them is better? milk!! / tea")


def test_a_place_whose_text_changed_is_reported_once(log: pytest.LogCaptureFixture) -> None:
    """With the place, the prompt and the first words, however many users it welcomes; another place is silent."""
    bind("hello", "Greet {{name}} at {{time}}, in one short sentence.", place="g/n", alone=True)
    for node, name in (("n", "Ada"), ("n", "Ada"), ("n", "Bob"), ("other", "Ada")):
        changed = f"Welcome {name} at noon, in one short sentence."
        assert serve_text(changed, "system", Place(graph="g", node=node)) == changed
    [record] = log.records
    assert "at g/n" in record.getMessage()
    assert "Expected 'hello'" in record.getMessage()
    assert "Welcome Ada" in record.getMessage()


def test_what_one_registry_served_is_replaced_by_another(tmp_path: Path) -> None:
    """Which texts were served already is known to each registry for itself."""
    first, second = "Greet Ada in one short sentence.", "Welcome Ada in one short sentence."
    bind("hello", "Greet {{name}} in one short sentence.")
    next_version("hello", "Welcome {{name}} in one short sentence.")
    assert serve_text(first, "system") == second
    with pr.open_registry(f"sqlite:///{tmp_path}/other.db") as other, pr.use_registry(other):
        bind("hello", "Welcome {{name}} in one short sentence.")
        next_version("hello", "Say hello to {{name}}.")
        assert serve_text(second, "system") == "Say hello to Ada."


def test_the_words_of_a_users_own_message_are_left_alone() -> None:
    """A message of the code without variables is replaced where the code sends it: elsewhere, somebody typed it."""
    bind("resume", "Continue with the next step, please.", place="g/plan", role="user")
    next_version("resume", "Go on with step after step.")
    text = "Continue with the next step, please."
    assert serve_text(text, "user", Place(graph="g", node="plan")) == "Go on with step after step."
    assert serve_text(text, "user", Place(graph="g", node="chat")) == text


def test_a_strict_binding_replaces_at_its_place_only() -> None:
    """The same text of two agents is two prompts."""
    template = "Answer every question in one short sentence."
    bind("one", template, place="first/model", strict=True)
    bind("two", template, place="second/model", strict=True)
    for name in ("one", "two"):
        next_version(name, f"This is {name}.")
    places = [Place(graph=graph, node="model") for graph in ("first", "second", "third")]
    assert [serve_text(template, "system", place) for place in places] == ["This is one.", "This is two.", template]


def test_what_users_and_tools_say_is_never_touched() -> None:
    """A value that quotes an adopted prompt stays as it is, and so does a user message that is a system prompt's text."""
    bind("hello", "Greet {{name}} at {{time}}, in one short sentence.")
    bind("quote", "Repeat word by word what follows: {{quote}}")
    for name in ("hello", "quote"):
        next_version(name, "[v2] " + str(pr.load_prompt(name).template))
    assert serve_text(TEXT, "user") == TEXT
    assert serve_text(f"Repeat word by word what follows: {TEXT}", "system") == f"[v2] Repeat word by word what follows: {TEXT}"


def test_a_served_text_is_not_served_again() -> None:
    """Not if it fits the adopted template as well, and not in another process, which has only the version to tell."""
    bind("hello", "Greet {{name}} warmly.")
    next_version("hello", "Greet {{name}} and all the others, warmly.")
    bind("far", "Say this: {{text}}")
    next_version("far", "Say this: once, with feeling: {{text}}")
    served = serve_text("Say this: hello", "system")
    assert served == "Say this: once, with feeling: hello"
    assert serve_text(served, "system") == served
    pr.current_registry().loader.after_fork_in_child()  # forgets what was served, as a new process
    assert serve_text(served, "system") == served


def test_a_candidate_is_served_and_counted() -> None:
    """An override of an adopted prompt reaches the text, once for a text that is converted twice, and one that is not used is an error."""
    bind("hello", "Greet {{name}} at {{time}}, in one short sentence.")
    with pr.override_prompts({"hello": "Hi {{name}}, it is {{time}}."}) as override:
        served = serve_text(TEXT, "system")
        assert serve_text(served, "system") == served == "Hi Ada, it is noon."
    assert override.renders == {"hello": 1}
    with pytest.raises(PromptNotRendered), pr.override_prompts({"hello": "Hi {{name}}."}):
        assert serve_text(TEXT, "system") == TEXT


def test_the_values_of_a_template_object_are_served() -> None:
    """Where they were adopted as prompts themselves, and nowhere else."""
    outer = "You answer questions. {{rules}} Thank you, {{user}}."
    bind("rules", "Mention {{number}} in every answer.", place=f"{digest(outer)}.rules", strict=True, nested=True)
    next_version("rules", "Never mention {{number}}.")
    rules = "Mention 42 in every answer."
    assert serve_values(digest(outer), {"rules": rules, "user": rules}) == {"rules": "Never mention 42.", "user": rules}
    assert serve_values("another", {"rules": rules}) == {"rules": rules}
    assert serve_text(rules, "system") == rules, "nested only"


def test_descriptions_are_served_by_key_and_text() -> None:
    """For any agent that has the tool, unless two agents have two prompts for it."""
    text = "Searches the mail of the customer."
    bind("a/tools/search", text, place="a/tools/search", role="description", key="tools/search")
    next_version("a/tools/search", "Finds mail.")
    for graph, key, wanted in (
        ("a", "tools/search", "Finds mail."),
        ("b", "tools/search", "Finds mail."),
        ("a", "tools/other", text),
    ):
        assert serve_description(text, key, Place(graph=graph)) == wanted
    assert serve_description(text + " ", "tools/search", Place(graph="a")) == text + " "


def test_a_prompt_is_renamed_with_its_history() -> None:
    """Versions, aliases, tags and bindings move; the old name is not used again; what includes it refuses the rename."""
    bind("old", "Greet {{name}} at {{time}}, in one short sentence.")
    next_version("old", "Hello {{name}}, {{time}}!")
    pr.current_registry().set_prompt_tag("old", "team", "bank")
    pr.register_prompt("page", "Begin. {{> old@production}} End.")
    with pytest.raises(AliasConflict, match="includes 'old'"):
        pr.current_registry().rename_prompt("old", "new")
    pr.register_prompt("page", "Begin. End.")
    assert pr.current_registry().rename_prompt("old", "new", reason="clearer").version == 2
    assert serve_text(TEXT, "system") == "Hello Ada, noon!"
    assert [getattr(entry, "kind", "") for entry in pr.prompt_history("new")][-1] == "rename"
    assert [prompt.tags for prompt in pr.search_prompts("name = 'new' AND text MATCH 'hello'")] == [{"team": "bank"}]
    assert pr.rollback("new").version == 1
    for name in ("old", "page"):
        with pytest.raises(PromptExists, match="already the name"):
            pr.current_registry().rename_prompt("new", name)
    assert pr.register_prompt("old", "again").version == 3, "numbers of the old name are not used again"
    with pytest.raises(UserError, match="no prompt 'nobody'"):
        pr.current_registry().rename_prompt("nobody", "x")


# --- what a recording tells -----------------------------------------------------------------------------------------------


def record_texts(*texts: str, node: str = "n", role: str = "system", inputs: Any = None) -> Any:
    """Record one agent's model call with each text."""
    with pr.record("texts") as trace, span("agent", "g", {"inputs": inputs}):
        recorder = pr_context.current_recorder()
        assert recorder is not None
        for text in texts:
            message = {"role": role, "content": text}
            recorder.finish(recorder.start_model("m", [message], place=Place(graph="g", node=node)))
    return trace


def unreadable(text: str) -> str:
    """Return a text that no source has: `_` is a space."""
    return text.translate({ord("_"): " "})


def assistant(name: str) -> str:
    """Return a text with a value, whose template no source has."""
    return unreadable("You_are_the_personal_assistant_of_@._Answer_in_one_or_two_polite_sentences.").translate({ord("@"): name})


GREETING = "Say a warm welcome to everybody who comes into the shop."


def test_a_text_without_a_source_is_refused_with_the_reason() -> None:
    """One with a value of the state or a date is not even adopted by name; another one is, as it stands."""
    for text, reason in (
        (unreadable("Attend_to_that_customer,_Ada_Lovelace,_before_all_others!"), "'Ada Lovelace'"),
        (unreadable("It_is_2026-11-25,_so_be_quick_about_it."), "has a date, '2026-11-25'"),
    ):
        trace = record_texts(text, inputs={"name": "Ada Lovelace"})
        adoption = pr.adopt(trace)
        [row] = adoption.coverage
        assert (list(adoption), row.state) == ([], "not adoptable")
        assert reason in row.detail
        with pytest.raises(UserError, match="no discovered prompt"):
            pr.adopt(trace, names={row.name: "x"})
    trace = record_texts(unreadable("Be_short_and_friendly_in_all_that_you_say."))
    assert pr.adopt(trace).coverage[0].state == "not adoptable"
    assert [version.name for version in pr.adopt(trace, names={"g/n": "friendly"})] == ["friendly"]


def test_two_texts_of_one_place_are_a_template_that_is_shown_first() -> None:
    """It is bound only by name, and then serves other values."""

    adoption = pr.adopt(record_texts(assistant("Ada"), assistant("Bob")))
    [row] = adoption.coverage
    assert (list(adoption), row.state, row.variables) == ([], "not adoptable", ("value",))
    assert "Inferred from 2 texts" in row.detail
    pr.adopt(record_texts(assistant("Ada"), assistant("Bob")), names={"g/n": "assistant"})
    next_version("assistant", "Assist {{value}}.")
    assert serve_text(assistant("Grace"), "system") == "Assist Grace."


def test_texts_of_other_recordings_count() -> None:
    """One text in each of two recordings of the place is a sign as good as two in one."""
    for name in ("Ada", "Bob"):
        trace = record_texts(assistant(name))
    pr.current_registry().flush()
    assert "Inferred from 2 texts" in pr.adopt(trace).coverage[0].detail


def test_a_constant_that_stands_twice_is_bound_to_each_place() -> None:
    """Each place has its own prompt, since the text does not tell which constant it is."""
    with pr.record("twice") as trace:
        for node in ("first", "second"):
            pr_context.current_recorder().start_model(  # type: ignore[union-attr]
                "m", [{"role": "system", "content": TWICE_A}], place=Place(graph="g", node=node)
            )
    adopted = pr.adopt(trace)
    assert [version.name for version in adopted] == ["g/first", "g/second"]
    next_version("g/first", "One.")
    assert serve_text(TWICE_A, "system", Place(graph="g", node="first")) == "One."
    assert serve_text(TWICE_A, "system", Place(graph="g", node="second")) == TWICE_A


TWICE_A = "You look at both sides of every question, and then you decide."
TWICE_B = "You look at both sides of every question, and then you decide."


def test_a_model_call_without_instructions_is_a_row() -> None:
    """With its place and the first words of what was said, in which control characters are visible."""
    trace = record_texts("Hello\x1b[31m there, what time is it?", role="user", inputs="Hello\x1b[31m there, what time is it?")
    [row] = pr.adopt(trace).coverage
    assert (row.state, row.place, row.words) == ("no prompt", "g/n", "Hello\\x1b[31m there, what time is it?")


def test_a_changed_text_is_offered_as_the_next_version() -> None:
    """Under its name: raised in Python, shown by the command line, and adopted by name."""
    bind("tests/test_adoption_sources.GREETING", "Say an old welcome to everybody.", place="g/n", alone=True)
    trace = record_texts(GREETING)
    [row] = pr.coverage(trace)
    assert (row.state, row.name) == ("adoptable", "tests/test_adoption_sources.GREETING")
    assert "was adopted here, and the text has changed" in row.detail
    with pytest.raises(PromptExists, match="next version"):
        pr.adopt(trace)
    assert pr.adopt(trace, taken="report").coverage[0].state == "adoptable"
    [adopted] = pr.adopt(trace, names={row.name: row.name}).coverage
    assert adopted.detail.startswith("production serves version 1 in its place"), "or the code's change is undone in silence"
    assert [version.version for version in pr.prompt_history(row.name) if isinstance(version, pr.PromptVersion)] == [1, 2]
    next_version(row.name, "Welcome!")
    assert serve_text(GREETING, "system") == "Welcome!"


def test_what_somebody_asked_is_no_prompt() -> None:
    """A user message that is an input of the agent, even if a constant of the program holds it."""
    assert [row.state for row in pr.coverage(record_texts(GREETING, role="user", inputs={"question": GREETING}))] == ["no prompt"]
    assert [row.state for row in pr.coverage(record_texts(GREETING, role="user", inputs={"question": "x"}))] == ["adoptable"]


# --- the command that runs a program --------------------------------------------------------------------------------------


@pytest.mark.process
@pytest.mark.parametrize(
    "end", ["import signal, os; os.kill(os.getpid(), signal.SIGINT)", "input()", "raise SystemExit(3)", "1 / 0"]
)
def test_run_adopts_however_the_program_ends(program: Path, end: str) -> None:
    """Ctrl-C, the end of the input, an exit code, an error: what was recorded is adopted, and running it again adds nothing."""
    script = program / "main.py"
    script.write_text(f"import agent\nagent.run('Ada Lovelace', 'What is a bond?', '42')\n{end}\n")
    command = [sys.executable, "-m", "prompt_registry_plugin", "run", "--adopt", "--json", str(script)]
    for _ in range(2 if end == "1 / 0" else 1):
        done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        assert done.returncode != 0
        rows = json.loads(done.stdout[done.stdout.index('{\n  "trace"') :])["prompts"]
        states = {row["name"]: row["state"] for row in rows}
        assert states["prompts.CLERK"] in ("adopted", "served")
        assert states["bank/tools/search"] == "adoptable"
    assert {prompt.name: prompt.latest_version for prompt in pr.search_prompts()} == dict.fromkeys(
        ("prompts.CLERK", "prompts.RESEARCH", "prompts.RULES", "prompts.FIXED", "prompts.QUESTION", "agent.run"), 1
    )


@pytest.mark.process
def test_the_advice_of_the_command_line_can_be_typed(program: Path) -> None:
    """It names commands and options, and no Python; `traces show` and `status` show the same table."""
    (program / "main.py").write_text("import agent\nagent.run('Ada Lovelace', 'What is a bond?', '42')\n")
    run = [sys.executable, "-m", "prompt_registry_plugin"]
    subprocess.run([*run, "run", "--adopt", "main.py"], check=True, capture_output=True)
    prompts = program / "prompts.py"
    prompts.write_text(prompts.read_text().replace("You translate", "You always translate"))
    out = subprocess.run([*run, "run", "--adopt", "main.py"], check=True, capture_output=True, text=True).stdout
    assert "names=" not in out
    advice = next(line for line in out.splitlines() if line.startswith("Adopt it as the next version: "))
    command = advice.partition("prompt-registry ")[2].split()
    subprocess.run([*run, *command], check=True, capture_output=True)
    assert pr.load_prompt("prompts.FIXED").version == 2
    for arguments in (["traces", "show", "last"], ["status"]):
        out = subprocess.run([*run, *arguments], check=True, capture_output=True, text=True).stdout
        assert "prompts.CLERK" in out
        assert "served" in out


def test_an_evaluation_says_that_nothing_serves_what_was_adopted(caplog: pytest.LogCaptureFixture) -> None:
    """Else the agent's own texts would be measured in silence. Nothing with an adapter or a prompt by name."""

    def run(target: Any = lambda n: "x") -> list[str]:
        caplog.clear()
        pr.evaluate(
            predict_fn=target, data=[{"inputs": {"n": 1}}], scorers=["length"], options=pr.RunOptions(on_event=lambda _: None)
        )
        return [record.message for record in caplog.records if "pr.enable()" in record.message]

    assert run() == []
    pr.adopt(record_texts(GREETING))
    assert len(run()) == 1
    pr.register_prompt("named", "Hi")
    assert run(lambda n: pr.load_prompt("named").format()) == []
    pr.enable("openai")
    assert run() == []
