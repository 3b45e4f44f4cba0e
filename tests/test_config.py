"""Configuration files: what they name is registered once, pins win, and every fault is told with its line before anything is written."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest
import yaml

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.main import main
from prompt_registry_plugin.config import AppConfig
from prompt_registry_plugin.config.apply import apply, plan
from tests.conftest import ROOT

FULL = """
x-cheap: &cheap {temperature: 0.1}
schemas:
  main: &main {catalog_name: main, schema_name: default}
resources:
  llms:
    small: {<<: *cheap, name: "${SMALL:-offline:task}"}
    judge: {name: "offline:judge"}
    writer: {name: "offline:reflection", temperature: 0.5}
prompts:
  route: &route
    name: route
    schema: *main
    alias: production
    default_template:
      - {role: system, content: "Which is it: card or loan? ${this} stays."}
      - {role: user, content: "{{text}}"}
  same: "prompts:/main.default.route@production"
agents:
  router: {name: router, model: small, prompt: *route}
datasets:
  d: {name: routing, file: rows.jsonl}
app: {name: of another tool}
optimizations:
  prompt_optimizations:
    better: {name: better, prompt: route, agent: router, dataset_name: routing, reflection_model: *writer, scorers: [exact_match],
             register: if_better, num_candidates: 2}
"""


def write_config(tmp_path: Path, text: str, name: str = "config.yaml") -> Path:
    path = tmp_path / "conf" / name
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    rows = [
        {"inputs": {"text": f"{said} {i}"}, "expectations": {"expected_response": label}}
        for i in range(6)
        for said, label in (("stolen plastic", "card"), ("interest and debt", "loan"))
    ]
    (path.parent / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return path


def faults_of(tmp_path: Path, text: str) -> list[str]:
    """The faults of a file, each without the file's folder."""
    with pytest.raises(pr.UserError) as caught:
        AppConfig.from_file(write_config(tmp_path, text))
    return [line.rpartition("config.yaml:")[2] for line in str(caught.value).splitlines()]


def test_everything_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Anchors, merge keys, names, an alias without its anchor, environment variables, and what is said to models left as it is."""
    monkeypatch.setenv("SMALL", "offline:task?seed=1")
    config = AppConfig.from_file(write_config(tmp_path, FULL))
    assert config.resources.llms["small"].temperature == 0.1
    assert config.resources.llms["small"].spec == "offline:task?seed=1"
    agent = config.agents["router"]
    assert agent.prompt == config.prompts["route"]
    assert agent.model == config.resources.llms["small"]
    assert config.prompts["route"].uri == config.prompts["same"].uri == "prompts:/main.default.route@production"
    assert "${this}" in str(config.prompts["route"].template)
    assert config.optimizations is not None
    optimization = config.optimizations.prompt_optimizations["better"]
    assert optimization.reflection_model is not None
    assert optimization.reflection_model.name == "offline:reflection"
    assert optimization.agent == agent


def test_applying_registers_what_is_new_and_keeps_what_is_there(tmp_path: Path) -> None:
    """Applied twice nothing changes; an edited default is another version; an alias that was moved since stays where it is."""
    path = write_config(tmp_path, FULL)
    config = AppConfig.from_file(path)
    assert [(step.action, step.name) for step in plan(config)] == [
        ("register", "main.default.route"),
        ("set", "main.default.route@production"),
        ("keep", "main.default.route"),
        ("register", "routing"),
        ("leave", "better"),
    ]
    assert pr.search_prompts() == []
    apply(config)
    assert pr.load_prompt("prompts:/main.default.route@production").version == 1
    assert len(pr.load_dataset("routing")) == 12
    assert [step.action for step in apply(config)] == ["keep", "keep", "keep", "leave"]
    pr.register_prompt("main.default.route", "improved {{text}}")
    pr.set_prompt_alias("main.default.route", "production", 2)
    assert [step.action for step in apply(config)] == ["keep", "keep", "keep", "leave"]
    assert config.prompts["route"].load().version == 2
    apply(AppConfig.from_file(write_config(tmp_path, FULL.replace("Which is it", "What is it"))))
    assert pr.load_prompt("main.default.route").version == 3
    assert pr.load_prompt("prompts:/main.default.route@production").version == 2


def test_a_number_that_was_deleted_is_no_pin(tmp_path: Path) -> None:
    """It is never given again, so that a template cannot become it: the file is at fault, and nothing is written."""
    for text in ("one", "two"):
        pr.register_prompt("p", text)
    pr.current_registry().delete_version("p", 2, confirm=True)
    config = AppConfig.from_file(write_config(tmp_path, "prompts:\n  p: {name: p, version: 2, default_template: three}\n"))
    for carry_out in (plan, apply):
        with pytest.raises(pr.errors.PromptNotFound, match="no version 2"):
            carry_out(config)
    assert pr.load_prompt("p").version == 1


def test_prompts_of_a_file_may_include_one_another(tmp_path: Path) -> None:
    """In whichever order they stand: they are registered together."""
    text = 'prompts:\n  a: {name: a, default_template: "{{> b}} then {{q}}"}\n  b: {name: b, default_template: first}\n'
    config = AppConfig.from_file(write_config(tmp_path, text))
    assert [step.action for step in apply(config)] == ["register", "register"]
    assert config.prompts["a"].load().format(q="x") == "first then x"
    assert [step.action for step in apply(config)] == ["keep", "keep"]


def test_a_pin_wins_over_the_registry(tmp_path: Path) -> None:
    """`version: 1` serves version 1 whatever aliases say; without a pin it is the newest; a pin to nothing is a fault."""
    for text in ("one {{q}}", "two {{q}}"):
        pr.register_prompt("p", text)
    pr.set_prompt_alias("p", "production", 2)
    config = AppConfig.from_file(
        write_config(tmp_path, "prompts:\n  pinned: {name: p, version: 1}\n  free: {name: p}\n  later: {name: p, version: 3}\n")
    )
    assert [config.prompts[name].load().template for name in ("pinned", "free")] == ["one {{q}}", "two {{q}}"]
    assert config.prompts["pinned"].template == "one {{q}}"
    with pytest.raises(pr.errors.PromptNotFound, match="no version 3"):
        plan(config)


def test_an_optimization_runs_for_an_agent_that_is_named(tmp_path: Path) -> None:
    """The version that came of it is the pinned one of what is returned; an agent in code is named by its module."""
    config = AppConfig.from_file(write_config(tmp_path, FULL))
    apply(config)
    assert config.optimizations is not None
    results = config.optimizations.optimize()
    assert results["better"].uri == "prompts:/main.default.route/2"
    assert pr.load_prompt(results["better"].uri).run_id is not None
    again = FULL.replace("agent: router", "agent: tests.simulated_target:no_such_name")
    broken = AppConfig.from_file(write_config(tmp_path, again)).optimizations
    assert broken is not None
    with pytest.raises(pr.UserError, match="cannot import"):
        broken.optimize()
    missing = AppConfig.from_file(write_config(tmp_path, FULL.replace("dataset_name: routing", "dataset_name: rooting")))
    with pytest.raises(pr.errors.DatasetNotFound, match=r"did you mean 'routing'.*create_dataset"):
        plan(missing, ["better"])
    assert "could not be run: no data set 'rooting'" in plan(missing)[-1].detail


def test_a_default_scorer_compares_with_a_judge(tmp_path: Path) -> None:
    """Without scorers, what is expected decides which judge is asked, and the price is told beforehand."""
    text = FULL.replace("scorers: [exact_match],", "scorer_model: judge,")
    config = AppConfig.from_file(write_config(tmp_path, text))
    assert "at most 360 rollouts on 12 training rows" not in plan(config)[-1].detail
    assert "at most 72 rollouts on 12 training rows" in plan(config)[-1].detail
    apply(config)
    assert config.optimizations is not None
    result = config.optimizations.prompt_optimizations["better"].run()
    assert result.rollouts <= 72


def test_every_fault_is_told_with_its_line(tmp_path: Path) -> None:
    """Missing and mistyped keys, wrong values, unknown names: all at once, each where it is written."""
    assert faults_of(
        tmp_path,
        """\
resources:
  llms:
    small: {nam: x, temperature: hot}
prompts:
  a: {name: "a b"}
  c: {name: c, version: 2, alias: production}
  u: "prompts:/u v"
agents:
  g: {name: g, model: smal, prompt: a}
  h: {name: h}
optimizations:
  prompt_optimizations:
    o:
      name: o
      prompt: nope
      num_candidates: 0
""",
    ) == [
        "3: resources.llms.small.nam: unknown key; did you mean 'name'?",
        "3: resources.llms.small.name: field required",
        "3: resources.llms.small.temperature: input should be a valid number, unable to parse string as a number, not 'hot'",
        "5: prompts.a: prompt name 'a b' may hold letters, digits, '_', '-', '.' and '/' between parts, nothing else",
        "6: prompts.c: a prompt is pinned by version or by alias, not by both",
        "7: prompts.u: cannot read prompt URI 'prompts:/u v': prompt name 'u v' may hold letters, digits, '_', '-', '.' and '/' "
        "between parts, nothing else",
        "9: agents.g.model: nothing under resources.llms is called 'smal'; did you mean 'small'?",
        "10: agents.h: an agent has a model and a prompt, or a target 'package.module:name'",
        "13: optimizations.prompt_optimizations.o.agent: field required",
        "13: optimizations.prompt_optimizations.o.dataset_name: field required",
        "15: optimizations.prompt_optimizations.o.prompt: nothing under prompts is called 'nope'; there are a, c, u",
        "16: optimizations.prompt_optimizations.o.num_candidates: input should be greater than or equal to 1, not 0",
    ]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ('prompts:\n  a: {name: a, default_template: "fine"}\n  b: {name: b, default_template: "x {{q"}', "unbalanced"),
        ('prompts:\n  a: {name: a, default_template: "fine"}\n  b: {name: b, default_template: "{{> none}}"}', "none"),
        (
            "prompts:\n  a: {name: a, default_template: fine}\n  b: {name: a, default_template: other}",
            "prompts.b: another prompt",
        ),
        ("prompts:\n  a: {name: a, default_template: fine}\n  b: {name: b, version: 7, default_template: x}", "no prompt 'b'"),
        ("prompts:\n  a: {name: a, default_template: fine}\ndatasets:\n  d: {name: d, file: none.csv}", "cannot read"),
        (
            "prompts:\n  a: {name: a, default_template: fine}\ndatasets: {d: {name: d, rows: []}, e: {name: d, rows: []}}",
            "no rows",
        ),
        (
            "prompts:\n  a: {name: a, default_template: fine}\n"
            "datasets: {d: {name: d, rows: [{inputs: {q: 1}}]}, e: {name: d, rows: [{inputs: {q: 2}}]}}",
            "two datasets are called 'd'",
        ),
    ],
)
def test_nothing_is_written_where_something_cannot_be(tmp_path: Path, text: str, fault: str) -> None:
    """A template, an include, a name, a pin, a file: the dry run tells it, and applying writes none of it."""
    config = AppConfig.from_file(write_config(tmp_path, text))
    for carry_out in (plan, apply):
        with pytest.raises(pr.UserError, match=fault):
            carry_out(config)
    assert pr.search_prompts() == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("scorers: [exact_match]", "scorers: [exact_mach]"), "no scorer is called 'exact_mach'"),
        (("register: if_better", "register: if_better, optimizer: foo"), "No optimizer is called 'foo'"),
        (('name: "offline:reflection"', "name: x, provider: nonesuch"), "knows the model 'nonesuch:x'"),
        (("agent: router", 'agent: "nomodule:fn"'), "cannot import 'nomodule:fn'"),
    ],
)
def test_an_optimization_that_cannot_run_is_told_before_anything_is_written(
    tmp_path: Path, change: tuple[str, str], fault: str
) -> None:
    """Where it is named; where it is not, prompts are registered all the same, and the table says what is wrong."""
    config = AppConfig.from_file(write_config(tmp_path, FULL.replace(*change)))
    with pytest.raises(pr.UserError, match=fault):
        apply(config, ["better"])
    assert pr.search_prompts() == []
    assert fault in apply(config)[-1].detail


def test_jinja_and_names_with_colons(tmp_path: Path) -> None:
    """Statements make a template Jinja; a provider that is named stands before a colon in a model's name."""
    text = """
resources: {llms: {a: {name: "llama3:8b", provider: openai}, b: {name: "openai:ft:x:1"}}}
prompts: {j: {name: j, default_template: "{% if x %}yes{% endif %}"}, k: {name: k, default_template: "{{x}}"}}
"""
    config = AppConfig.from_file(write_config(tmp_path, text))
    assert [model.spec for model in config.resources.llms.values()] == ["openai:llama3:8b", "openai:ft:x:1"]
    apply(config)
    assert pr.load_prompt("j").format(x=True) == "yes"
    assert pr.load_prompt("k").template_format == "double_brace"
    assert [step.action for step in plan(config)] == ["keep", "keep"]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: [1,\nb: 2", "2: this is no YAML"),
        ("prompts:\n  a: {name: x}\n  a: {name: y}", "3: prompts.a stands here twice"),
        ("a: &x\n  b: *x", "this refers to itself"),
        ("prompts:\n  a: *nobody", "2: prompts.a: a prompt is a mapping, or a URI"),
        (
            "a: &a [x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n"
            + "".join(f"{n}: &{n} [{','.join([f'*{p}'] * 9)}]\n" for p, n in zip("bcdef", "cdefg", strict=True)),
            "over 50,000 values",
        ),
        ("a: \x07", "no YAML"),
        ("- 1", "1: a configuration is a mapping"),
        (
            'prompts:\n  a: {name: "${NOBODY_SETS_THIS}"}',
            "2: prompts.a.name: the environment variable NOBODY_SETS_THIS is not set",
        ),
        ("a: !!python/object/apply:os.system [ls]", "no YAML"),
    ],
)
def test_what_is_no_configuration(tmp_path: Path, text: str, fault: str) -> None:
    """Is told in one line, with the place where there is one; nothing in a file is run."""
    [said] = faults_of(tmp_path, text)
    assert fault in said


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A dry run says what would be done and makes no file; a fault exits with 2; optimizations run when they are named."""
    path = write_config(tmp_path, FULL)
    (tmp_path / "new").mkdir()
    monkeypatch.setenv("PROMPT_REGISTRY_URL", f"sqlite:///{tmp_path}/new/prompts.db")

    def call(*arguments: str) -> tuple[int, str]:
        with pytest.raises(SystemExit) as caught:
            main(["apply", str(path), *arguments])
        out = capsys.readouterr()
        return int(caught.value.code or 0), out.out + out.err

    code, out = call("--dry-run", "--json")
    assert code == 0
    assert [step["action"] for step in json.loads(out)["steps"]] == ["register", "set", "keep", "register", "leave"]
    assert list((tmp_path / "new").iterdir()) == []
    code, out = call("--optimize", "bettr")
    assert (code, "did you mean 'better'" in out) == (2, True)
    assert pr.search_prompts() == []
    code, out = call("--optimize", "all", "--json")
    assert code == 0
    assert pr.load_prompt("main.default.route").version == 2
    path.write_text("prompts: 5")
    assert call()[0] == 2


def test_the_published_schema_is_current_and_fits_the_example() -> None:
    """Editors check files by it; names in place of what they name fit too, and mistakes do not."""
    schema = json.loads((ROOT / "docs" / "config.schema.json").read_text())
    assert schema == AppConfig.json_schema()
    example = yaml.safe_load((ROOT / "examples" / "config" / "support.yaml").read_text())
    jsonschema.validate(example, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"prompts": {"a": {"version": "x"}}}, schema)


def test_the_routing_example_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """By configuration, by content and by cost."""
    from examples import routing

    routing.main()
    out = capsys.readouterr().out
    assert "configured for billing: prompts:/support/billing/1" in out
    assert "Why was I charged twice?     by content prompts:/support/billing/1       by cost prompts:/support/detailed/1" in out
    assert "by cost prompts:/support/concise/1" in out
