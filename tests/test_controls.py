"""Control characters of prompts, reasons, traces and messages are visible in whatever is printed, and data keep every character."""

from __future__ import annotations

import io
import json
import logging
import re

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from rich.text import Text

import prompt_registry_plugin as pr
from prompt_registry_plugin.cli.display import SafeConsole
from prompt_registry_plugin.cli.echo import VisibleFormatter
from prompt_registry_plugin.cli.main import cli, main
from prompt_registry_plugin.masking.controls import escape_json, visible

_DRIVES = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_EVIL = "a\x1b]0;owned\x07b\x1b[2Jc\x1b]52;c;cm0=\x07d\x9b31me\u202ef\rg"
_CONTROLS = st.text(st.sampled_from("ab \n\t\x00\x07\x08\r\x1b[]0;52c\x7f\x80\x9b\x9d\u202e\u2066\u200f\ud800é日"), max_size=40)


@given(_CONTROLS)
def test_one_function_leaves_nothing_that_drives_a_terminal(text: str) -> None:
    """Whatever stands beside it; a text without control characters stays."""
    shown = visible(text)
    assert not _DRIVES.search(shown)
    assert visible(shown) == shown
    assert (shown == text) == (not re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200f\u202e\u2066\ud800]", text))


@given(_CONTROLS)
def test_json_keeps_its_data(text: str) -> None:
    """With the control characters escaped."""
    shown = escape_json(json.dumps({"a": text}, ensure_ascii=False))
    assert json.loads(shown) == {"a": text}
    assert not _DRIVES.search(shown)


@given(_CONTROLS)
def test_a_console_prints_no_control_character_of_a_text(text: str) -> None:
    """In styled text as well, and wraps what it shows."""
    out = io.StringIO()
    SafeConsole(file=out, width=30, highlight=False).print(Text("x", style="bold").append(text, style="red"), end="")
    assert not _DRIVES.search(out.getvalue())
    by_rich = re.sub(r"[\x07\x08\x0b-\x0d]", "", text)  # rich removes these on its own
    assert re.sub(r"\s", "", visible(by_rich)) in re.sub(r"\s", "", out.getvalue())


@pytest.mark.parametrize(
    "command",
    [["list"], ["show", "p"], ["show", "p", "--json"], ["diff", "p/1", "p/2"], ["diff", "p/1", "p/2", "--json"], ["history", "p"],
     ["history", "p", "--json"], ["traces", "list"], ["traces", "show", "last"], ["traces", "show", "last", "--json"],
     ["traces", "export", "-"], ["export", "-"]],
    ids=" ".join,
)  # fmt: skip
def test_commands_show_control_characters(registry: pr.PromptRegistry, command: list[str]) -> None:
    """Of templates, messages, tags, reasons, trace names, inputs and errors."""
    pr.register_prompt("p", _EVIL)
    pr.register_prompt("p", _EVIL + " more", commit_message=_EVIL, tags={"t": _EVIL})
    pr.set_prompt_alias("p", "production", 2, reason=_EVIL)

    @pr.trace
    def answer(question: str) -> str:
        pr.load_prompt("p").format()
        raise ValueError(_EVIL)

    with pytest.raises(ValueError, match="owned"), pr.record(_EVIL):
        answer(_EVIL)
    registry.flush()
    done = CliRunner().invoke(cli, [*command, "--registry", registry.url] if command[0] != "traces" else command)
    assert done.exit_code == 0, done.output
    assert not _DRIVES.search(done.output)


def test_errors_and_logs_show_control_characters(registry: pr.PromptRegistry, capsys: pytest.CaptureFixture[str]) -> None:
    """What the user typed, or a file held, and is quoted."""
    for command in (["show", _EVIL], [_EVIL], ["show", "p", f"--{_EVIL}"]):
        with pytest.raises(SystemExit):
            main(command)
    assert not _DRIVES.search(capsys.readouterr().err)
    record = logging.LogRecord("x", logging.WARNING, "", 1, "trace %s", (_EVIL,), None)
    assert not _DRIVES.search(VisibleFormatter().format(record))
