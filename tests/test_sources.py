"""Sources: however a program builds a text, its template is found in the source, with the values that the program filled in."""

from __future__ import annotations

import importlib
import os
import py_compile
import sys
import types
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prompt_registry_plugin.sources import (
    Found,
    NotFound,
    Sources,
    infer_template,
    module_of,
    read_sources,
    reading,
    rendered_signs,
)
from prompt_registry_plugin.sources.inference import Inferred, NotInferred
from prompt_registry_plugin.templates import compile_template
from tests.conftest import run_python


@dataclass
class Program:
    """Modules in a folder, imported by their real names."""

    folder: Path

    def write(self, **modules: str) -> None:
        """Write modules, by their paths without the extension."""
        for name, source in modules.items():
            path = self.folder / f"{name}.py"
            path.parent.mkdir(exist_ok=True)
            path.write_text(dedent(source))

    def load(self, name: str) -> Any:
        """Import a module."""
        importlib.invalidate_caches()
        return importlib.import_module(name)

    def sources(self) -> Sources:
        """The sources of the modules alone, without those of the tests."""
        files = sorted(self.folder.rglob("*.py"))
        return Sources([module_of(str(file)) for file in files if file.name != "__init__.py" or file.stat().st_size])


@pytest.fixture
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Program]:
    folder = tmp_path / "program"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    before = set(sys.modules)
    yield Program(folder)
    for name in set(sys.modules) - before:
        if str(folder) in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def found_in(sources: Sources, text: str, **options: Any) -> Found:
    """What `find` returns, checked: rendering the template with the values gives the text."""
    result = sources.find(text, **options)
    assert isinstance(result, Found), result
    rendered = compile_template(result.template.template, "it").render(result.values, "it")
    assert rendered == text
    return result


USER = types.SimpleNamespace(name="Ann Miller", plan=types.SimpleNamespace(name="gold"))
DOCS = [types.SimpleNamespace(title="Cats", text="They purr."), types.SimpleNamespace(title="Dogs", text="They bark.")]

_DEDENTED = '''
from textwrap import dedent
def build(topic):
    return dedent(f"""
        Write a poem about {topic}.
          It rhymes.
        """)
'''

# The body of a module, what its function `build` is called with, and the name, template and values to be found.
STYLES: dict[str, tuple[str, tuple[Any, ...], str, str, dict[str, str]]] = {
    "a constant": (
        'PROMPT = "You are a careful accountant."\ndef build(): return PROMPT',
        (), "agent.PROMPT", "You are a careful accountant.", {},
    ),
    "implicit concatenation": (
        'PROMPT = ("You are a careful "\n    "accountant.")\ndef build(): return PROMPT',
        (), "agent.PROMPT", "You are a careful accountant.", {},
    ),
    "format": (
        'PROMPT = "Greet {name}, who likes {{braces}} and {0}."\ndef build(n, x): return PROMPT.format(x, name=n)',
        ("Ann", "tea"), "agent.PROMPT", "Greet {{name}}, who likes {braces} and {{x}}.", {"name": "Ann", "x": "tea"},
    ),
    "format with paths": (
        'PROMPT = "Greet {user.name} of plan {user.plan.name}, {items[0]}."\ndef build(u, i): return PROMPT.format(user=u, items=i)',
        (USER, ["one"]), "agent.PROMPT", "Greet {{user_name}} of plan {{user_plan_name}}, {{items_0}}.",
        {"user_name": "Ann Miller", "user_plan_name": "gold", "items_0": "one"},
    ),
    "format by position": (
        'PROMPT = "Dear {}, order {} has been shipped."\ndef build(user, order): return PROMPT.format(user.name, order["id"])',
        (USER, {"id": 7}), "agent.PROMPT", "Dear {{user_name}}, order {{order_id}} has been shipped.",
        {"user_name": "Ann Miller", "order_id": "7"},
    ),
    "format with conversion": (
        'PROMPT = "The price of {x!r} is {p:>8.2f} now, of {x}."\ndef build(x, p): return PROMPT.format(x=x, p=p)',
        ("tea", 2.5), "agent.PROMPT", "The price of {{x}} is {{p}} now, of {{x_2}}.",
        {"x": "'tea'", "p": "    2.50", "x_2": "tea"},
    ),
    "f-string": (
        'def build(user, state): return f"Help {user.name} with {state[\'topic\']}, {len(user.name)} letters."',
        (USER, {"topic": "tax"}), "agent.build", "Help {{user_name}} with {{topic}}, {{len}} letters.",
        {"user_name": "Ann Miller", "topic": "tax", "len": "10"},
    ),
    "f-string with conversions": (
        'def build(x): return f"Say {x!r} aloud, then {x:>5} and at last {x}."',
        ("hi",), "agent.build", "Say {{x}} aloud, then {{x_2}} and at last {{x_3}}.", {"x": "'hi'", "x_2": "   hi", "x_3": "hi"},
    ),
    "f-string of a constant": (
        'RULES = "Never lie."\nMAX = 3\ndef build(q): return f"{RULES} Answer {q} in {MAX} words."',
        ("why",), "agent.build", "Never lie. Answer {{q}} in 3 words.", {"q": "why"},
    ),
    "f-string assigned first": (
        'def build(q):\n    system_prompt = f"Answer the question {q} politely."\n    return system_prompt',
        ("why",), "agent.build.system_prompt", "Answer the question {{q}} politely.", {"q": "why"},
    ),
    "percent": (
        'PROMPT = "Translate %s into %s, 100%% exactly."\ndef build(t, language): return PROMPT % (t, language)',
        ("cat", "French"), "agent.PROMPT", "Translate {{t}} into {{language}}, 100% exactly.", {"t": "cat", "language": "French"},
    ),
    "percent by name": (
        'PROMPT = "Translate %(text)s, %(n)d times."\ndef build(t): return PROMPT % {"text": t, "n": 2}',
        ("cat",), "agent.PROMPT", "Translate {{text}}, {{n}} times.", {"text": "cat", "n": "2"},
    ),
    "sum": (
        'def build(q, n): return "Answer the question " + q + " in " + str(n) + " words at most."',
        ("why", 3), "agent.build", "Answer the question {{q}} in {{n}} words at most.", {"q": "why", "n": "3"},
    ),
    "string.Template": (
        'from string import Template\nPROMPT = Template("Ask $name for ${amount} dollars, $$ that is.")\n'
        "def build(n, a): return PROMPT.substitute(name=n, amount=a)",
        ("Ann", 5), "agent.PROMPT", "Ask {{name}} for {{amount}} dollars, $ that is.", {"name": "Ann", "amount": "5"},
    ),
    "dedent": (
        _DEDENTED,
        ("cats",), "agent.build", "\nWrite a poem about {{topic}}.\n  It rhymes.\n", {"topic": "cats"},
    ),
    "dedent of a value with lines": (
        _DEDENTED,
        ("cats\nand dogs",), "agent.build", "\n        Write a poem about {{topic}}.\n          It rhymes.\n",
        {"topic": "cats\nand dogs"},
    ),
    "cleandoc": (
        'import inspect\nPROMPT = inspect.cleandoc("""Write a poem\n    about {topic}.\n    """)\n'
        "def build(t): return PROMPT.format(topic=t)",
        ("cats",), "agent.PROMPT", "Write a poem\nabout {{topic}}.", {"topic": "cats"},
    ),
    "strip": (
        'PROMPT = """\n  Write a poem about {topic}.\n"""\ndef build(t): return PROMPT.strip().format(topic=t)',
        ("cats",), "agent.PROMPT", "Write a poem about {{topic}}.", {"topic": "cats"},
    ),
    "affixes": (
        'PROMPT = "PROMPT: Write a poem about {topic}. (end)"\n'
        'def build(t): return PROMPT.removeprefix("PROMPT: ").removesuffix(" (end)").format(topic=t)',
        ("cats",), "agent.PROMPT", "Write a poem about {{topic}}.", {"topic": "cats"},
    ),
    "join": (
        'def build(q):\n    return "\\n".join(["Answer the question.", f"Question: {q}", "Be brief."])',
        ("why",), "agent.build", "Answer the question.\nQuestion: {{q}}\nBe brief.", {"q": "why"},
    ),
    "join of a list that grows": (
        'def build(q, hint):\n    parts = ["Answer the question as well as you can.", f"Question: {q}"]\n    if hint:\n'
        '        parts.append(f"Hint: {hint}")\n    parts.append("Be brief and polite.")\n    return "\\n".join(parts)',
        ("why", "cats"), "agent.build",
        "Answer the question as well as you can.\nQuestion: {{q_section}}\nBe brief and polite.", {"q_section": "why\nHint: cats"},
    ),
    "replace": (
        'PROMPT = "Find {city} on the map, as {\\"json\\": 1}."\ndef build(c): return PROMPT.replace("{city}", c)',
        ("Rome",), "agent.PROMPT", 'Find {{city}} on the map, as {"json": 1}.', {"city": "Rome"},
    ),
    "replace of a mark": (
        'PROMPT = "Find <<CITY>> on the map."\ndef build(c): return PROMPT.replace("<<CITY>>", c)',
        ("Rome",), "agent.PROMPT", "Find {{CITY}} on the map.", {"CITY": "Rome"},
    ),
    "condition between prompts": (
        'def build(formal): return "Write a formal letter." if formal else "Write a short note."',
        (False,), "agent.build-2", "Write a short note.", {},
    ),
    "condition within a prompt": (
        'LONG = "Explain each step in detail, and give your sources."\n'
        'def build(q, long): return f"Answer the following question now: {q}. {LONG if long else \'\'}"',
        ("why", True), "agent.build", "Answer the following question now: {{q}}. {{LONG}}",
        {"q": "why", "LONG": "Explain each step in detail, and give your sources."},
    ),
    "augmented": (
        'def build(q, docs):\n    prompt = "Answer with these documents: "\n    for doc in docs:\n'
        '        prompt += f"- {doc.title}: {doc.text} "\n'
        '    prompt += f"The question is: {q}"\n    return prompt',
        ("why", DOCS), "agent.build", "Answer with these documents: {{docs}}The question is: {{q}}",
        {"docs": "- Cats: They purr. - Dogs: They bark. ", "q": "why"},
    ),
    "class attribute": (
        'class Agent:\n    PROMPT = "You are the agent of {name}."\n    def run(self, n): return self.PROMPT.format(name=n)\n'
        "def build(n): return Agent().run(n)",
        ("Ann",), "agent.Agent.PROMPT", "You are the agent of {{name}}.", {"name": "Ann"},
    ),
    "instance attribute": (
        'class Agent:\n    def __init__(self, name):\n        self.prompt = f"You are the agent of {name}."\n'
        "def build(n): return Agent(n).prompt",
        ("Ann",), "agent.Agent.prompt", "You are the agent of {{name}}.", {"name": "Ann"},
    ),
    "instance attribute, assigned below": (
        'class Agent:\n    def run(self, q): return f"{self.rules} {q}"\n'
        '    def __init__(self): self.rules = "You answer this question:"\n'
        "def build(q): return Agent().run(q)",
        ("why",), "agent.Agent.run", "You answer this question: {{q}}", {"q": "why"},
    ),
    "dataclass default": (
        "from dataclasses import dataclass, field\n@dataclass\nclass Settings:\n"
        '    prompt: str = field(default="You are a helpful robot.")\n'
        "def build(): return Settings().prompt",
        (), "agent.Settings.prompt", "You are a helpful robot.", {},
    ),
    "dictionary": (
        'PROMPTS = {"summary": "Summarize this text: {text}", "other": "Do not."}\ndef build(t): return PROMPTS["summary"].format(text=t)',
        ("cats",), "agent.PROMPTS.summary", "Summarize this text: {{text}}", {"text": "cats"},
    ),
    "list": (
        'STEPS = ["First read the question.", "Then answer it well."]\ndef build(): return STEPS[1]',
        (), "agent.STEPS.1", "Then answer it well.", {},
    ),
    "messages": (
        'def build(q):\n    messages = [{"role": "system", "content": "You are a clerk."},\n'
        '                {"role": "user", "content": f"My question is {q}"}]\n'
        '    return messages[1]["content"]',
        ("why",), "agent.build.user", "My question is {{q}}", {"q": "why"},
    ),
    "keyword argument": (
        'def Agent(**options): return options\nclerk = Agent(name="clerk", instructions="You are a bank clerk.")\n'
        'def build(): return clerk["instructions"]',
        (), "agent.clerk.instructions", "You are a bank clerk.", {},
    ),
    "decorated function": (
        'def tool(function): return function\n@tool\nasync def prompt(ctx):\n    return f"The customer is {ctx.deps.name}."\n'
        'def build(ctx):\n    try:\n        prompt(ctx).send(None)\n    except StopIteration as done:\n        return done.value',
        (types.SimpleNamespace(deps=USER),), "agent.prompt", "The customer is {{name}}.", {"name": "Ann Miller"},
    ),
    "docstring": (
        'import inspect\ndef tool(city):\n    """Look up the weather.\n\n    It may be late.\n    """\n'
        "def build(): return inspect.getdoc(tool)",
        (), "agent.tool.doc", "Look up the weather.\n\nIt may be late.", {},
    ),
    "lambda": (
        'instructions = lambda user: f"Be the agent of {user.name} now."\ndef build(u): return instructions(u)',
        (USER,), "agent.instructions", "Be the agent of {{user_name}} now.", {"user_name": "Ann Miller"},
    ),
    "holes that touch": (
        'def build(a, b, q): return f"Read {a}{b} and answer the question: {q}"',
        ("x", "y", "why"), "agent.build", "Read {{a_b}} and answer the question: {{q}}", {"a_b": "xy", "q": "why"},
    ),
    "literal braces": (
        'def build(q): return f"Answer {q} as {{{{x}}}} or {{\\"a\\": 1}}, please."',
        ("why",), "agent.build", "Answer {{q}} as {{ '{{' }}x}} or {\"a\": 1}, please.", {"q": "why"},
    ),
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_each_way_to_build_a_text_is_understood(style: str, program: Program) -> None:
    """The text that the program really builds leads to the template in its source, its name and its values."""
    source, arguments, name, template, values = STYLES[style]
    program.write(agent=source)
    text = program.load("agent").build(*arguments)
    found = found_in(program.sources(), text)
    assert (found.template.name, found.template.template, dict(found.values)) == (name, template, values)
    assert found.template.file == str(program.folder / "agent.py")
    assert set(found.template.variables) == set(values)


def test_a_constant_of_another_module_is_named_after_its_own(program: Program) -> None:
    """Imported by name, through its module, relatively, under another name or with a star, it is the same template."""
    program.write(
        **{
            "pkg/__init__": "",
            "pkg/prompts": 'SYSTEM = "You help {name} with all questions."\n',
            "pkg/a": "from .prompts import SYSTEM as TEXT\ndef build(n): return TEXT.format(name=n) + ' Be brief with this person.'",
            "pkg/b": "import pkg.prompts\ndef build(n): return pkg.prompts.SYSTEM.format(name=n)",
            "pkg/c": "from . import prompts\nfrom pkg.prompts import *\ndef build(n): return f'{prompts.SYSTEM} {SYSTEM} {n}'",
        }
    )
    sources = program.sources()
    assert found_in(sources, program.load("pkg.b").build("Ann")).template.name == "pkg/prompts.SYSTEM"
    assert found_in(sources, program.load("pkg.a").build("Ann")).template.template == (
        "You help {{name}} with all questions. Be brief with this person."
    )
    found = found_in(sources, program.load("pkg.c").build("Ann"))
    assert (found.template.name, found.template.template.count("You help {name}")) == ("pkg/c.build", 2)


def test_a_template_in_a_template_is_found_in_its_value(program: Program) -> None:
    """The outer template keeps its variable; the value that fills it has another source."""
    program.write(
        agent="""
        OUTER = "System message: {system}\\nUser message: {user}"
        INNER = "You are the agent of {name}, a good friend."
        def build(n, u): return OUTER.format(system=INNER.format(name=n), user=u)
        """
    )
    found = found_in(program.sources(), program.load("agent").build("Ann", "Hi"))
    assert found.template.name == "agent.OUTER"
    assert {name: (each.template.name, dict(each.values)) for name, each in found.nested.items()} == {
        "system": ("agent.INNER", {"name": "Ann"})
    }


def test_what_only_some_branches_add_is_a_variable_with_its_own_source(program: Program) -> None:
    """One prompt with an optional part is one template, whichever branch ran; the part is found as its value."""
    program.write(
        agent="""
        def build(q, careful):
            prompt = "Answer the question of the customer. "
            if careful:
                prompt += "Check every number twice before you answer. "
            return prompt + f"Question: {q}"
        """
    )
    build, sources = program.load("agent").build, program.sources()
    careful, plain = found_in(sources, build("why", True)), found_in(sources, build("why", False))
    assert careful.template == plain.template
    assert (careful.values["section"], plain.values["section"]) == ("Check every number twice before you answer. ", "")
    assert careful.nested["section"].template.name == "agent.build.section"


def test_alternatives_of_one_place_name_each_other(program: Program) -> None:
    """Two prompts between which a condition chooses are two templates of one place."""
    program.write(agent='def build(x): return "Write a formal letter now." if x else f"Write a note to {x} instead."')
    templates = {template.name: template for template in program.sources().templates}
    assert templates["agent.build"].alternatives == (templates["agent.build-2"].template,)
    assert templates["agent.build-2"].alternatives == ("Write a formal letter now.",)


def test_a_value_that_others_may_change_is_never_taken_for_constant(program: Program) -> None:
    """A global that a function assigns to, an attribute that a subclass or a method changes, a variable of a loop."""
    program.write(
        agent="""
        mood = "friendly"
        def change():
            global mood
            mood = "grumpy"
        class Base:
            role = "clerk"
            def build(self, q):
                count = 0
                for _ in q:
                    count += 1
                return f"You are a {self.role}, in a {mood} mood. Answer this in {count} words: {q}"
        class Judge(Base):
            role = "judge"
        def build(q):
            change()
            return Judge().build(q)
        """
    )
    found = found_in(program.sources(), program.load("agent").build("why"))
    assert dict(found.values) == {"role": "judge", "mood": "grumpy", "count": "3", "q": "why"}


def test_a_text_within_a_longer_one_is_found_if_asked_for(program: Program) -> None:
    """A library that adds to a prompt leaves it findable: what is around it becomes variables."""
    program.write(agent='TEXT = "You are a bank clerk, and you answer all questions about {topic}, however long it takes."')
    text = "# Rules\n" + program.load("agent").TEXT.format(topic="tax") + "\nEnd."
    sources = program.sources()
    assert isinstance(sources.find(text), NotFound)
    found = found_in(sources, text, inside=True)
    assert dict(found.values) == {"text_before": "# Rules\n", "topic": "tax", "text_after": "\nEnd."}
    assert isinstance(sources.find(text.replace("You are", "xYou are"), inside=True), NotFound), "words are not cut"


def test_a_text_that_was_added_to_is_not_taken_for_a_shorter_template(program: Program) -> None:
    """Of a template that fits the whole by chance, and a longer one that is one end of the text, the longer one is the source."""
    program.write(
        agent="""
        def short(a, b): return f"You are {a} \\nTask instructions: {b}\\nGo."
        def long(a): return f"You are {a} \\nTask instructions: write the list of all requirements of this program."
        """
    )
    sources = program.sources()
    text = program.load("agent").long("a clerk") + " Thank you.\nGo."
    assert found_in(sources, text).template.name == "agent.short"
    found = found_in(sources, text, inside=True)
    assert (found.template.name, dict(found.values)) == ("agent.long", {"a": "a clerk", "text_after": " Thank you.\nGo."})


def test_what_is_logged_raised_or_compared_is_no_prompt(program: Program) -> None:
    """Such texts are not templates, so that they do not take part."""
    program.write(
        agent="""
        import logging
        logger = logging.getLogger(__name__)
        def run(x):
            logger.info(f"The agent was asked about {x}")
            print(f"The agent says this about {x}")
            if x == "The agent is out of order":
                raise ValueError(f"The agent failed because of {x}")
        """
    )
    assert not program.sources().templates


# Random programs: literal pieces and holes, written in a way that is drawn, run, and found again.
_literal = st.text(
    st.characters(blacklist_categories=("Cs", "Co", "Cn"), blacklist_characters="\r\f\v\x1c\x1d\x1e\x85\u2028\u2029\0"),
    max_size=12,
)
_names = ("alpha", "beta", "gamma")


def _as_f_string(pieces: list[tuple[str, str]], end: str) -> str:
    braces = str.maketrans({"{": "{{", "}": "}}"})
    parts = [f"f{literal.translate(braces)!r} f'{{{name}}}'" for literal, name in pieces]
    return f"({' '.join(parts)} {end!r})"


def _as_format(pieces: list[tuple[str, str]], end: str) -> str:
    braces = str.maketrans({"{": "{{", "}": "}}"})
    source = "".join(f"{literal.translate(braces)}{{{name}}}" for literal, name in pieces) + end.translate(braces)
    return f"{source!r}.format(alpha=alpha, beta=beta, gamma=gamma)"


def _as_percent(pieces: list[tuple[str, str]], end: str) -> str:
    source = "".join(literal.replace("%", "%%") + f"%({name})s" for literal, name in pieces) + end.replace("%", "%%")
    return f"{source!r} % {{'alpha': alpha, 'beta': beta, 'gamma': gamma}}"


def _as_sum(pieces: list[tuple[str, str]], end: str) -> str:
    return " + ".join([*(f"{literal!r} + {name}" for literal, name in pieces), repr(end)])


def _as_join(pieces: list[tuple[str, str]], end: str) -> str:
    return f"''.join([{', '.join([*(f'{literal!r}, {name}' for literal, name in pieces), repr(end)])}])"


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(
    st.lists(st.tuples(_literal, st.sampled_from(_names)), min_size=1, max_size=5),
    _literal,
    st.fixed_dictionaries({name: st.text(max_size=8) for name in _names}),
    st.sampled_from([_as_f_string, _as_format, _as_percent, _as_sum, _as_join]),
)
def test_a_value_that_is_found_is_the_one_that_was_filled_in(
    tmp_path: Path,
    pieces: list[tuple[str, str]],
    end: str,
    values: dict[str, str],
    write: Callable[[list[tuple[str, str]], str], str],
) -> None:
    """For any pieces and values, a variable that is found by its own name has its own value, and the text is rendered again."""
    pieces = [("Please do as I say: " + pieces[0][0], pieces[0][1]), *pieces[1:]]
    source = f"def build(alpha, beta, gamma):\n    return {write(pieces, end)}\n"
    names: dict[str, Any] = {}
    exec(source, names)
    text = names["build"](**values)
    assert text == "".join(literal + values[name] for literal, name in pieces) + end
    file = tmp_path / "drawn.py"
    file.write_bytes(source.encode())
    result = Sources([module_of(str(file))]).find(text)
    if isinstance(result, Found):
        assert compile_template(result.template.template, "it").render(result.values, "it") == text
        used = [name for _, name in pieces]
        for name in result.values:
            if name in values and used.count(name) == 1:
                assert result.values[name] == values[name]
    else:
        assert "more than" in result.reason, result.reason


def test_an_unambiguous_text_is_always_found(program: Program) -> None:
    """Values without the separators between them are always certain, whatever the style."""
    for write in (_as_f_string, _as_format, _as_percent, _as_sum, _as_join):
        program.write(
            agent=f"def build(alpha, beta, gamma):\n    return {write([('Ask ', 'alpha'), (' for 100% of {', 'beta')], '} now')}"
        )
        sys.modules.pop("agent", None)
        os.utime(program.folder / "agent.py", (write.__code__.co_firstlineno, 1))
        text = program.load("agent").build("Ann Miller\n", "a, b", "")
        assert dict(found_in(program.sources(), text).values) == {"alpha": "Ann Miller\n", "beta": "a, b"}, write
        (program.folder / "__pycache__").exists() and [p.unlink() for p in (program.folder / "__pycache__").iterdir()]


def test_a_text_of_another_template_is_not_taken_for_one(program: Program) -> None:
    """What no template gives exactly is not found, and the reason says where it was looked for."""
    program.write(agent='PROMPT = "Summarize this article: {article}"\nGREETING = "Welcome to the bank, {name}!"')
    result = program.sources().find("Please summarize this article: cats")
    assert isinstance(result, NotFound)
    assert result.reason == "No template in 1 modules and 0 data files gives this text exactly."


# Bad input: each with its reason and place.


def test_two_templates_that_give_one_text_are_both_named(program: Program) -> None:
    """Neither is chosen; the candidates can be shown."""
    program.write(a='X = "You are a helpful clerk."', b='Y = "You are a helpful clerk."')
    result = program.sources().find(program.load("a").X)
    assert isinstance(result, NotFound)
    folder = program.folder
    assert result.reason == f"2 templates give this text equally well: a.X ({folder}/a.py:1) and b.Y ({folder}/b.py:1)."
    assert [candidate.name for candidate in result.candidates] == ["a.X", "b.Y"]
    chosen = found_in(program.sources(), "You are a helpful clerk.", prefer=lambda template: template.file.endswith("b.py"))
    assert chosen.template.name == "b.Y"


def test_one_text_that_is_read_in_several_ways_is_one(program: Program) -> None:
    """A constant, and what a loop and an addition make of it, have the same words. Two constants with the same text are two."""
    program.write(
        agent="""
PROMPT = '''You build the context for a request.
{{request}}
Files: {{files}}'''

def ask(request, more):
    done = PROMPT.replace("{{request}}", request).replace("{{files}}", "none so far")
    while True:
        done = PROMPT.replace("{{request}}", request).replace("{{files}}", "none so far")
        if more:
            done += more
        return done
""",
        twice='X = "You are a helpful clerk."\nY = "You are a helpful clerk."',
    )
    found = found_in(program.sources(), program.load("agent").ask("find it", ""))
    assert (found.template.name, dict(found.values)) == ("agent.PROMPT", {"request": "find it", "files": "none so far"})
    assert isinstance(program.sources().find(program.load("twice").X), NotFound)


def test_a_split_that_is_not_certain_merges_the_variables(program: Program) -> None:
    """The values are those of the merged variable; no boundary between them is guessed."""
    program.write(agent='def build(a, b): return f"Translate the words {a} to {b}"')
    found = found_in(program.sources(), program.load("agent").build("go to town", "French"))
    assert dict(found.values) == {"a_b": "go to town to French"}
    assert found.template.name == "agent.build"


def test_one_name_with_two_values_has_its_reason(program: Program) -> None:
    """A name that had two values while the text was built is not matched."""
    program.write(
        agent='def build(x):\n    return f"First it was {next(x)}, then {x!s}."\nPROMPT = "Say {a} and then say {a} again."'
    )
    result = program.sources().find("Say one and then say two again.")
    assert isinstance(result, NotFound)
    assert f"agent.PROMPT ({program.folder}/agent.py:3) may have made this text, but a variable that occurs more" in result.reason


def test_a_template_that_is_too_short_has_its_reason(program: Program) -> None:
    """Other texts would match it, so it is not used; the reason names it and the bound."""
    program.write(agent='def build(x): return f"To: {x}"')
    result = program.sources().find(program.load("agent").build("Ann"))
    assert isinstance(result, NotFound)
    assert result.reason.startswith(
        f"agent.build ({program.folder}/agent.py:1) cannot be matched: its literal text has 2 letters"
    )


def test_source_that_is_not_valid_python_any_more_is_named(program: Program) -> None:
    """A file that was broken after it was loaded gives a reason with file and line, and the others are read."""
    program.write(broken="X = 1\nY = (", good='PROMPT = "You are a helpful clerk."')
    sources = program.sources()
    assert sources.problems == (f"{program.folder}/broken.py was not read: line 2 is not valid Python ('(' was never closed).",)
    assert found_in(sources, "You are a helpful clerk.").template.name == "good.PROMPT"
    result = sources.find("You are a different clerk entirely.")
    assert isinstance(result, NotFound)
    assert "broken.py was not read" in result.reason


def test_compiled_and_zipped_modules_are_named(program: Program, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are the user's, they are loaded, and they have no source file: each is a sentence."""
    program.write(compiled='PROMPT = "You are compiled."', zipped='PROMPT = "You are zipped."')
    py_compile.compile(str(program.folder / "compiled.py"), str(tmp_path / "compiled.pyc"))
    with zipfile.ZipFile(tmp_path / "lib.zip", "w") as archive:
        archive.write(program.folder / "zipped.py", "zipped.py")
    for name in ("compiled", "zipped"):
        (program.folder / f"{name}.py").unlink()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.syspath_prepend(str(tmp_path / "lib.zip"))
    texts = [program.load("compiled").PROMPT, program.load("zipped").PROMPT]
    try:
        problems = read_sources().problems
    finally:
        del sys.modules["compiled"], sys.modules["zipped"]
    assert texts == ["You are compiled.", "You are zipped."]
    assert f"compiled has no source: it is compiled ({tmp_path}/compiled.pyc)." in problems
    assert f"zipped has no source: it is in the archive {tmp_path}/lib.zip ({tmp_path}/lib.zip/zipped.py)." in problems


def test_a_program_given_on_the_command_line_has_no_source() -> None:
    """`python -c` leaves nothing to read, and the reason says what to do."""
    code = """
from prompt_registry_plugin.sources import read_sources
print(read_sources().find("You are a helpful clerk of " + "the bank.").reason)
"""
    assert run_python(code).stdout.strip() == (
        "There are no modules whose source can be read. The program was given with -c, which leaves no source. Put it into a file."
    )


def test_cells_of_a_notebook_are_read() -> None:
    """What IPython keeps of each cell is read like a module, in order; a cell that failed is left out."""
    code = """
import linecache, sys
sys.argv = ["ipykernel"]
cells = ['RULES = "Never lie, not even once."', "this is not Python", 'def build(q): return f"{RULES} Answer {q} now."']
for i, cell in enumerate(cells):
    linecache.cache[f"/tmp/ipykernel_12/{i}.py"] = (len(cell), None, cell.splitlines(True), "")
from prompt_registry_plugin.sources import read_sources
found = read_sources().find("Never lie, not even once. Answer why now.")
print(found.template.name, found.template.template, dict(found.values))
"""
    done = run_python(code, JPY_SESSION_NAME="/home/me/My agent.ipynb")
    assert done.stdout.strip() == "My-agent.build Never lie, not even once. Answer {{q}} now. {'q': 'why'}", done.stderr


def test_the_name_is_the_same_whoever_starts_the_program(program: Program) -> None:
    """A script, `-m` and an import by another program give one name."""
    agent = """
    PROMPT = "You are a helpful clerk of the bank."
    if __name__ == "__main__":
        from prompt_registry_plugin.sources import read_sources
        print(read_sources().find(PROMPT).template.name)
    """
    program.write(**{"pkg/__init__": "", "pkg/agent": agent})
    file = program.folder / "pkg" / "agent.py"
    run = "import runpy, sys; sys.path.insert(0, {!r}); "
    script = run_python(f"import subprocess, sys; subprocess.run([sys.executable, {str(file)!r}])", cwd=program.folder)
    as_module = run_python("import subprocess, sys; subprocess.run([sys.executable, '-m', 'pkg.agent'])", cwd=program.folder)
    imported = run_python(
        run.format(str(program.folder))
        + "import pkg.agent; from prompt_registry_plugin.sources import read_sources; "
        + "print(read_sources().find(pkg.agent.PROMPT).template.name)"
    )
    names = [done.stdout.strip() for done in (script, as_module, imported)]
    assert names == ["pkg/agent.PROMPT"] * 3, (script.stderr, as_module.stderr, imported.stderr)


def test_modules_of_one_name_are_named_after_their_folders_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two files called `main.py` do not share a prompt's name."""
    for folder in ("bank", "shop"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "main.py").write_text(f'PROMPT = "You are the clerk of the {folder}."')
        module = types.ModuleType(folder)
        module.__file__ = str(tmp_path / folder / "main.py")
        monkeypatch.setitem(sys.modules, f"{folder}_main", module)
    names = {template.template: template.name for template in read_sources().templates}
    assert [names[f"You are the clerk of the {folder}."] for folder in ("bank", "shop")] == [
        "bank/main.PROMPT",
        "shop/main.PROMPT",
    ]


def test_loaded_modules_are_the_users_own(program: Program) -> None:
    """The standard library, installed packages and this package are not read; a module that is loaded later is."""
    program.write(first='PROMPT = "You keep the ledger of module one."', second='PROMPT = "You keep the ledger of module two."')
    first = program.load("first")
    names = {template.name for template in read_sources().templates}
    assert "first.PROMPT" in names
    assert not [name for name in names if name.startswith(("prompt_registry_plugin/", "pytest", "hypothesis", "argparse"))]
    command = types.ModuleType(
        "__mp_main__"
    )  # `multiprocessing` keeps what `__main__` was: the command, for `prompt-registry run`
    command.__file__ = str(program.folder / "command")
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sys.modules, "__mp_main__", command)
        assert not [problem for problem in read_sources().problems if "__mp_main__" in problem]
    second = program.load("second")
    sources = read_sources()
    assert found_in(sources, first.PROMPT).template.name == "first.PROMPT"
    assert found_in(sources, second.PROMPT).template.name == "second.PROMPT"


def test_no_code_of_the_user_is_run(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a file's statements, nor a module's `__getattr__`, nor an object in the place of a module."""
    program.write(agent='PROMPT = "You are a helpful clerk."')
    program.load("agent")
    program.write(agent='PROMPT = "You are a helpful judge."\nraise SystemExit("run!")\n')

    class Trap(types.ModuleType):
        def __getattribute__(self, name: str) -> Any:
            raise SystemExit(name)

    class NoModule:
        __slots__ = ()

        def __getattr__(self, name: str) -> Any:
            raise SystemExit(name)

    with monkeypatch.context() as patched:
        patched.setitem(sys.modules, "trap", Trap("trap"))
        patched.setitem(sys.modules, "no_module", NoModule())  # type: ignore[arg-type]
        templates = {t.name: t.template for t in read_sources().templates}
    assert templates["agent.PROMPT"] == "You are a helpful judge."


def test_a_file_is_parsed_once_until_it_or_what_it_imports_changes(program: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading again parses nothing; a change is read, together with the modules that use its constants."""
    parsed: list[bytes] = []
    real = reading._parse_source
    monkeypatch.setattr(reading, "_parse_source", lambda source: (parsed.append(source), real(source))[1])
    program.write(
        base='RULES = "Never lie, not even once."',
        user="from base import RULES\ndef build(q): return f'{RULES} Answer {q} now.'",
        other='X = "Something else is here."',
    )
    assert "Never lie" in str(program.sources().find("Never lie, not even once. Answer why now."))
    assert len(parsed) == 3
    program.sources()
    assert len(parsed) == 3
    program.write(base='RULES = "Always tell the truth, please."')
    assert found_in(program.sources(), "Always tell the truth, please. Answer why now.").template.name == "user.build"
    assert len(parsed) == 5


@pytest.mark.parametrize(
    "source",
    [
        "X = " + "(" * 5000 + "1" + ")" * 5000,
        "X = " + "[" * 90 + "]" * 90,
        "X = " + " + ".join(["'a b c d e f g'"] * 5000),
        "X = f'" + "{a}" * 5000 + "'",
        "def f(x):\n" + "".join(f"    if x: x += 'some words {i}'\n" for i in range(300)) + "    return x + 'and the end of it'",
        "def f(x):\n    p = ['a b c d e f g']\n"
        + "".join(f"    if x: p.append('words {i}')\n" for i in range(300))
        + "    return '.'.join(p)",
        "X = '" + "{" * 10_000 + "'\nY = '%' * 100\nZ = '$' * 5 + '{x' * 50\n",
        "import a.b.c as d\nfrom .... import x\nfrom . import *\nX = d.e.f[0](1)['x'].y.format(*z, **w)\n",
        "X: str\nX += 'abc def ghi jkl'\ndel X\nglobal Y\n(a, *b), c = d\n[x for x in X if (y := x)]\n",
        "class A(A, metaclass=A):\n    x = A.x\n    def __init__(self): self.x = self.x + self.x\n",
        "X = 'a b c d e f ' * 100000000\nY = 'ab' * -1\n",
        "\ufeffX = 'byte order mark is here'",
    ],
)
def test_odd_modules_are_read_or_named(source: str, program: Program) -> None:
    """Nothing raises, and nothing blows up: whatever cannot be read is a sentence."""
    (program.folder / "odd.py").write_text(source, encoding="utf-8")
    sources = program.sources()
    assert len(sources.templates) < 2_000
    assert isinstance(sources.find("Some text that is written nowhere."), NotFound)


def test_files_in_other_encodings_and_with_odd_escapes(program: Program, recwarn: pytest.WarningsRecorder) -> None:
    """The file's own encoding counts, and the parser's warnings about it are not shown a second time."""
    source = '# -*- coding: latin-1 -*-\nPROMPT = "Grüße an alle, \\d Leute."\n'
    (program.folder / "agent.py").write_bytes(source.encode("latin-1"))
    sources = program.sources()
    assert found_in(sources, "Grüße an alle, \\d Leute.").template.name == "agent.PROMPT"
    assert not recwarn.list


# Texts in files.


def test_texts_in_files_beside_the_program_are_found(program: Program) -> None:
    """Whole files and strings in YAML, TOML and JSON, as they are, stripped, or filled in; named by file and key."""
    program.write(agent="X = 1")
    prompts = program.folder / "prompts"
    prompts.mkdir()
    (prompts / "system.md").write_text("# Role\nYou are the clerk of {{ bank }}.\n")
    (prompts / "front.md").write_text("---\ntitle: x\n---\nYou are a robot that helps {name}.\n")
    (prompts / "all.yaml").write_text(
        "agents:\n  - name: judge\n    prompt: |\n      You judge the case {case}.\n      Be fair.\n"
    )
    (prompts / "more.toml").write_text('[writer]\ninstructions = "Write about {topic}, at length."\n')
    (prompts / "texts.json").write_text('{"tutor": {"text": "Teach $subject to a child\\nof ten."}}')
    (prompts / "loop.j2").write_text("{% for x in y %}Do it again {{ x }}{% endfor %}")
    sources = program.sources()
    assert sources.files.files == 6
    for text, name, values in (
        ("# Role\nYou are the clerk of ACME.\n", "system", {"bank": "ACME"}),
        ("# Role\nYou are the clerk of ACME.", "system", {"bank": "ACME"}),
        ("You are a robot that helps Ann.", "front", {"name": "Ann"}),
        ("You judge the case 7.\nBe fair.\n", "all.agents.0.prompt", {"case": "7"}),
        ("Write about cats, at length.", "more.writer.instructions", {"topic": "cats"}),
        ("Teach maths to a child\nof ten.", "texts.tutor.text", {"subject": "maths"}),
    ):
        found = found_in(sources, text)
        assert (found.template.name, dict(found.values)) == (name, values)
        assert Path(found.template.file).parent == prompts
    assert isinstance(sources.find("Do it again 1Do it again 2"), NotFound)


def test_odd_files_are_named_or_left_out(program: Program) -> None:
    """A file that is not valid, too large, hidden, or that repeats itself without end."""
    program.write(agent="X = 1")
    (program.folder / "broken.yaml").write_text("a: [1, 2")
    (program.folder / "binary.txt").write_bytes(b"\xff\xfe\x00 words and words")
    (program.folder / "large.txt").write_text("words and words " * 20_000)
    (program.folder / ".hidden.txt").write_text("You are hidden from all eyes.")
    bomb = "\n".join(["a: &a0 [lol lol lol lol]", *(f"b{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]" for i in range(1, 30))])
    (program.folder / "bomb.yaml").write_text(bomb)
    (program.folder / "deep.json").write_text("[" * 50_000)
    sources = program.sources()
    assert isinstance(sources.find("You are hidden from all eyes."), NotFound)
    problems = sorted(sources.files.problems)
    assert [problem.split(" was not read")[0] for problem in problems] == [
        str(program.folder / name) for name in ("binary.txt", "broken.yaml", "deep.json")
    ]
    assert found_in(sources, "lol lol lol lol").template.name == "bomb.a.0"


def test_looking_in_files_is_bounded(program: Program) -> None:
    """A folder with more files than are read is named."""
    program.write(agent="X = 1")
    for i in range(520):
        (program.folder / f"{i:03}.txt").write_text(f"This is the text of file {i}.")
    files = program.sources().files
    assert files.files == 500
    assert files.problems == [f"Only the first 500 data files were read, up to {program.folder}."]


# Where there is no source.


def test_a_template_is_inferred_from_what_differs() -> None:
    """Words and numbers are whole; a label names its variable; the values of each text are given."""
    inferred = infer_template(
        [
            "You are the assistant of Ann Miller. Today is 2026-11-25.\nBalance: 12.50 EUR\nAnswer in at most 3 sentences.",
            "You are the assistant of Bob. Today is 2026-12-25.\nBalance: 12.75 EUR\nAnswer in at most 3 sentences.",
        ]
    )
    assert isinstance(inferred, Inferred)
    assert inferred.template == (
        "You are the assistant of {{value}}. Today is {{value_2}}.\nBalance: {{balance}} EUR\nAnswer in at most 3 sentences."
    )
    assert inferred.values[1] == {"value": "Bob", "value_2": "2026-12-25", "balance": "12.75"}
    assert 0.8 < inferred.share < 1


def test_values_with_no_word_between_them_are_one_variable() -> None:
    """A comma or a single letter may be in a value as well, so it separates nothing."""
    inferred = infer_template(
        ["The customer has the grades 3 a 4, 5 in this year.", "The customer has the grades 5 a 6, 7 in this year."]
    )
    assert isinstance(inferred, Inferred)
    assert inferred.template == "The customer has the grades {{value}} in this year."
    assert inferred.values[0] == {"value": "3 a 4, 5"}


@pytest.mark.parametrize(
    ("texts", "reason"),
    [
        ([], "are equal"),
        (["You are a helpful clerk of the bank."] * 3, "are equal"),
        (["You are a clerk.", "Something else entirely is said here."], "too little in common"),
        (["Ann " + "x " * 30_000, "Bob " + "x " * 30_000], "too long to compare"),
        (
            ["Only these few words are the same. " + "abc " * 300, "Only these few words are the same. " + "def " * 300],
            "% of their words",
        ),
    ],
)
def test_nothing_is_inferred_from_too_little(texts: list[str], reason: str) -> None:
    """Equal texts, texts with little in common, and texts that are too long are refused with the reason."""
    result = infer_template(texts)
    assert isinstance(result, NotInferred)
    assert reason in result.reason


_sentence = st.lists(st.sampled_from("the a clerk of bank answers all questions 12 3.50 politely , . \n".split(" ")), max_size=30)


@given(st.lists(_sentence, min_size=2, max_size=4))
def test_an_inferred_template_gives_every_text_and_cuts_no_word(sentences: list[list[str]]) -> None:
    """Whatever the texts, a template that is inferred renders each of them, and no value begins or ends within a word."""
    texts = ["You always answer as a careful clerk of the bank: " + " ".join(words) + " Goodbye." for words in sentences]
    inferred = infer_template(texts)
    if isinstance(inferred, NotInferred):
        return
    compiled = compile_template(inferred.template, "it")
    for text, values in zip(dict.fromkeys(texts), inferred.values, strict=True):
        assert compiled.render(values, "it") == text
        rest = text
        for literal, name in zip(compiled.literals, [*compiled.names, ""], strict=True):  # type: ignore[union-attr]
            assert rest.startswith(literal)
            rest = rest[len(literal) :]
            value = values.get(name, "")
            assert not (literal[-1:].isalnum() and value[:1].isalnum())
            rest = rest[len(value) :]


def test_inferring_from_hostile_texts_is_bounded() -> None:
    """The same word thousands of times, and thousands of words in another order, end with an answer."""
    words = [str(i) for i in range(9_000)]
    for texts in (
        ["a b " * 4_000 + "x", "b a " * 4_000 + "y"],
        [" ".join(words), " ".join(reversed(words))],
        ["a" * 10**6, "a" * 10**6 + "b"],
    ):
        assert isinstance(infer_template(texts), NotInferred)


def test_signs_of_values_in_a_text() -> None:
    """Another text of the place, a date, a time, an identifier and a value of the state are certain; a number is shown only."""
    text = "You help Ann Miller (3f2504e0-4f89-41d3-9a0c-0305e82c3301) on November 25, 2026, 14:05:33. Answer in 3 sentences."
    state = {"user": {"name": "Ann Miller", "age": 3, "topic": "tence"}, "messages": [text]}
    signs = rendered_signs(text, others=[text, "You help Bob."], state=state)
    assert [(sign.kind, sign.value) for sign in signs if sign.is_certain] == [
        ("differs", ""),
        ("value", "Ann Miller"),
        ("date", "November 25, 2026"),
        ("time", "14:05:33"),
        ("identifier", "3f2504e0-4f89-41d3-9a0c-0305e82c3301"),
    ]
    assert [(sign.kind, sign.value) for sign in signs if not sign.is_certain] == [("number", "3")]
    assert signs[1].reason == "The text has the value of user.name, 'Ann Miller'."


@pytest.mark.parametrize(
    "text",
    [
        "You are a careful accountant.",
        "Use version 2 of the form.",
        "Ratio 1:2, see section 3.4.1",
        "May the 4 of you answer.",
        "",
    ],
)
def test_ordinary_instructions_have_no_certain_sign(text: str) -> None:
    """Numbers in instructions, words that are months, and a state that shares only short words."""
    assert not [
        sign for sign in rendered_signs(text, others=[text], state={"a": "the", "b": 2, "c": True, "d": text}) if sign.is_certain
    ]


@pytest.mark.parametrize(
    "date", ["2026-11-25", "25.11.2026", "11/25/2026", "25 November 2026", "Nov 25, 2026", "2026-11-25T10:00:00"]
)
def test_dates_are_known_in_their_usual_forms(date: str) -> None:
    """Each is a certain sign."""
    assert rendered_signs(f"Today is {date}.")[0].kind == "date"


def test_an_odd_state_is_looked_through_without_an_error() -> None:
    """Objects that raise, cycles, and more values than are looked at."""

    class Odd(dict[str, Any]):
        def items(self) -> Any:
            raise ValueError("no")

    circle: list[Any] = [Odd(a=1), range(10**9), object(), USER]
    circle.append(circle)
    assert [sign.value for sign in rendered_signs("Help Ann Miller now.", state=[circle, list(range(100_000))])] == ["Ann Miller"]


def test_a_package_without_init_file_is_part_of_the_name_if_the_code_imports_it(tmp_path: Path) -> None:
    """Folders that the import does not name are not."""
    file = tmp_path / "src" / "deep_search" / "prompts.py"
    file.parent.mkdir(parents=True)
    file.touch()
    assert module_of(str(file), "deep_search.prompts").name == "deep_search/prompts"
    assert module_of(str(file), "prompts").name == "prompts"
    assert module_of(str(file), "other.prompts").name == "prompts"


@pytest.mark.parametrize("call", ["llm.invoke([{}])", "await llm.ainvoke([{}])", "Runner.run_sync(agent, {})"])
def test_the_name_of_an_answer_is_not_that_of_the_prompt(tmp_path: Path, call: str) -> None:
    """It is named after the function; a constructor's variable names what it holds."""
    text = 'f"Write a note about {topic}, please."'
    file = tmp_path / "lead.py"
    file.write_text(
        f"async def ask(topic):\n    r = {call.format(text)}\n    note = Prompt({text.replace('note', 'song')})\n    return r\n"
    )
    sources = Sources([module_of(str(file))])
    assert [template.name for template in sources.templates] == ["lead.ask", "lead.ask.note"]
