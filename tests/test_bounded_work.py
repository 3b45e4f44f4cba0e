"""Work on texts of strangers is bounded: differences, YAML, JSON, Jinja, regular expressions."""

from __future__ import annotations

import random
from collections.abc import Iterator
from difflib import SequenceMatcher
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

import prompt_registry_plugin as pr
from prompt_registry_plugin.evaluation.word_diff import word_changes
from prompt_registry_plugin.models.offline import OfflineSettings
from prompt_registry_plugin.server import offline
from prompt_registry_plugin.templates.convert import looks_like_jinja
from prompt_registry_plugin.templates.jinja import compile_jinja
from prompt_registry_plugin.transfer.archive import restore_registry
from prompt_registry_plugin.transfer.formats.reading import parse_yaml, read_json

_WORDS = st.lists(st.sampled_from(["a", "b", "c", " ", "\n", ".", "the", "long word"]), max_size=60).map("".join)


@given(_WORDS, _WORDS)
def test_a_difference_holds_both_texts(old: str, new: str) -> None:
    """Its parts joined are the texts; equal and changed parts take turns."""
    changes = word_changes(old, new)
    assert "".join(removed for _, removed, _ in changes) == old
    assert "".join(added for _, _, added in changes) == new
    assert all((kind == "equal") == (removed == added) for kind, removed, added in changes)
    assert all(a[0] != b[0] for a, b in pairwise(changes))


@pytest.mark.parametrize("vocabulary", [2, 50, 5_000])
@pytest.mark.parametrize("edits", [0, 30, 10_000])
def test_long_texts_are_compared_in_small_parts(vocabulary: int, edits: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 10,000 words each: how many pairs of words `difflib` is given is counted."""
    pairs = 0

    class Counted(SequenceMatcher):  # type: ignore[type-arg]
        def __init__(self, junk: None, a: list[str], b: list[str], autojunk: bool) -> None:
            nonlocal pairs
            pairs += len(a) * len(b)
            super().__init__(junk, a, b, autojunk)

    monkeypatch.setattr("prompt_registry_plugin.evaluation.word_diff.SequenceMatcher", Counted)
    rng = random.Random(1)
    old = [f"w{rng.randrange(vocabulary)}" for _ in range(10_000)]
    new = list(old)
    for _ in range(edits):
        new[rng.randrange(len(new))] = f"w{rng.randrange(vocabulary)}"
    changes = word_changes(" ".join(old), " ".join(new))
    assert "".join(added for _, _, added in changes) == " ".join(new)
    assert pairs < 10_000_000
    if edits == 30 and vocabulary > 2:
        assert sum(len(removed) for kind, removed, _ in changes if kind == "changed") < 1_000


@pytest.mark.parametrize(
    "template",
    ["{{ 'x'.ljust(10**9) }}", "{{ 'x'.rjust(1000000000) }}", "{{ 'x'.zfill(10**9) }}", "{{ 'x'|center(10**9) }}", "{{ lipsum(10**6) }}",
     "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set n.x = n.x ~ n.x %}{% endfor %}",
     "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
     "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
     "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}",
     "{% for i in 'x' * 99999 %}{% for j in 'x' * 99999 %}{% endfor %}{% endfor %}",
     "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}{% endif %}{% endmacro %}{{ f(60) }}",
     "{{ ('x' * 99999).replace('x', 'y' * 99999) }}", "{{ ('x' * 99999)|replace('x', 'y' * 99999) }}",
     "{{ ('y' * 99999).join('x' * 99999) }}", "{{ range(99999)|join('y' * 99999) }}",
     "{{ range(99999)|map('string')|join('y' * 99999) }}", "{{ '{:1000000000}'.format(1) }}", "{{ '%1000000000d'|format(1) }}",
     "{{ ('\\n' * 99999)|indent(99999) }}", "{{ [1]|batch(10**9, 'x')|list }}", "{{ [1]|slice(10**9)|list }}", "{{ range(10**9)|list }}",
     "{% set n = namespace(x='xxxxxxxx') %}{% for i in range(60) %}{% set y %}{{ n.x }}{{ n.x }}{% endset %}{% set n.x = y %}{% endfor %}",
     "{{ 9 ** 9 ** 9 }}", "{% set n = namespace(x=9) %}{% for i in range(90) %}{% set n.x = n.x * n.x %}{% endfor %}{{ n.x }}"],
)  # fmt: skip
def test_a_template_cannot_do_without_limits(template: str) -> None:
    """On the way, whatever the length of its result."""
    with pytest.raises(pr.UserError):
        compile_jinja(template, "p").render({}, "p")


@pytest.mark.parametrize(
    ("template", "text"),
    [("{% for x in xs %}{{ loop.index }}{{ x }}{% if not loop.last %},{% endif %}{% endfor %}", "1a,2b"), ("{{ xs|join('-') }}", "a-b"),
     ("{{ 'a' ~ 1 ~ xs[0] }}", "a1a"), ("{{ 'x'.ljust(3) }}|{{ 'ab'|replace('a', 'c') }}", "x  |cb"), ("{{ 'a\nb'|indent(2) }}", "a\n  b"),
     ("{% for k, v in d.items() %}{{ k }}={{ v }}{% endfor %}", "k=1"), ("{% macro m(x) %}<{{ x }}>{% endmacro %}{{ m('y') }}", "<y>"),
     ("{% for x in xs recursive %}{{ x }}{% endfor %}{{ xs|length }}{{ 1 + 2 }}{{ none }}", "ab23None")],
)  # fmt: skip
def test_ordinary_templates_render_as_before(template: str, text: str) -> None:
    """Loops, filters, methods, macros."""
    assert compile_jinja(template, "p").render({"xs": ["a", "b"], "d": {"k": 1}}, "p") == text


def _bombs() -> Iterator[str]:
    levels = "\n".join(f"l{i}: &l{i} [{', '.join([f'*l{i - 1}'] * 10)}]" for i in range(1, 12))
    yield f"l0: &l0 [x]\n{levels}\n"
    yield "[" * 100_000
    yield "a: " + "{a: " * 20_000
    yield "- " * 50_000 + "x"


@pytest.mark.parametrize("bomb", list(_bombs()), ids=["aliases", "lists", "mappings", "dashes"])
def test_a_yaml_bomb_is_one_error(bomb: str) -> None:
    """Of one line, for a file of a few hundred bytes as for a deep one."""
    with pytest.raises(pr.UserError) as error:
        parse_yaml(bomb, "bomb.yaml")
    assert "bomb.yaml" in str(error.value)


def test_deep_json_is_one_error(tmp_path: Path) -> None:
    """Not the traceback of a recursion."""
    (tmp_path / "deep.json").write_text("[" * 100_000)
    with pytest.raises(pr.UserError, match="nested more than"):
        read_json(tmp_path / "deep.json")


def test_looking_for_jinja_is_linear() -> None:
    """Megabytes of braces and bars, which a pattern that goes back would not finish in hours."""
    for text in ("{{" + "|" * 1_000_000, "{{ a " * 300_000, "{" * 1_000_000, "{% " * 300_000):
        looks_like_jinja(text)
    assert looks_like_jinja("{% if a %}x{% endif %}")
    assert not looks_like_jinja("{{ a }} | (x)")


def test_the_simulated_model_takes_what_it_is_sent() -> None:
    """A text with many beginnings of a request; and it answers to names of loopback only."""
    client = TestClient(offline.create_app(OfflineSettings()), base_url="http://localhost")
    body = {"model": "offline-task", "messages": [{"role": "user", "content": "improve the prompt " * 40_000}]}
    assert client.post("/v1/chat/completions", json=body).status_code == 200
    assert client.get("/health", headers={"host": "evil.example"}).status_code == 400


def test_half_a_character_is_the_callers_mistake(registry: pr.PromptRegistry) -> None:
    """400 rather than 502: no model can be sent it."""
    from prompt_registry_plugin.server.prompt import create_prompt_app

    pr.register_prompt("p", "{{q}}")
    client = TestClient(create_prompt_app(pr.PromptAgent("p", "offline:task")), base_url="http://localhost")
    headers = {"content-type": "application/json"}
    answer = client.post("/invocations", content=b'{"inputs": {"q": "\\ud800"}}', headers=headers)
    assert answer.status_code == 400
    assert "not JSON" in answer.json()["message"]


@pytest.mark.parametrize("reader", ["dataset", "restore", "scorer"])
def test_json_of_any_depth_is_told_in_one_line(reader: str, tmp_path: Path, registry: pr.PromptRegistry) -> None:
    """Rows of a file, an export, an answer: deep JSON is not JSON that can be read, and no traceback."""
    deep = "[" * 100_000
    if reader == "scorer":
        found = pr.evaluate(predict_fn=lambda q: deep, data=[{"inputs": {"q": "x"}}], scorers=[pr.scorers.JSONSchema({})])
        assert found.scores["json_schema"].mean == 0
        return
    path = tmp_path / "deep.jsonl"
    path.write_text(('{"prompt_registry_export": 1}\n' if reader == "restore" else "") + deep + "\n")
    with pytest.raises(pr.UserError, match=r"deep|recursion|nested"):
        restore_registry(registry, path) if reader == "restore" else registry.examples_of(str(path))
