"""The command that serves a prompt with a model over HTTP."""

from __future__ import annotations

import json
from typing import Any

import click

from prompt_registry_plugin.cli.completion import complete_prompts
from prompt_registry_plugin.cli.echo import echo
from prompt_registry_plugin.cli.settings import json_option, registry_option
from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.server.command import check_installed
from prompt_registry_plugin.uri import as_uri


@click.command("serve-prompt")
@click.argument("reference", metavar="PROMPT", shell_complete=complete_prompts)
@click.option("--model", help="Such as openai:gpt-…; default: the prompt's model_config.")
@click.option("--input", "said", metavar="NAME", help="Value of a row that is the user's message. Default: input, question, …")
@click.option("--temperature", type=click.FloatRange(0), help="As the model knows it.")
@click.option("--max-tokens", type=click.IntRange(1), help="How long an answer may be.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Another address than loopback takes a token.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0 takes a free port.")
@click.option("--token", envvar="PROMPT_REGISTRY_TOKEN", help="Asked of every caller; default: PROMPT_REGISTRY_TOKEN.")
@json_option
@registry_option
def serve_prompt(
    reference: str,
    model: str | None,
    said: str | None,
    temperature: float | None,
    max_tokens: int | None,
    host: str,
    port: int,
    token: str | None,
    as_json: bool,
) -> None:
    """Serve a prompt over HTTP.

    Answers POST /invocations with what a model says to PROMPT, a name, NAME@alias or URI. Loads the prompt for each request.

    A body is {"dataframe_records": [{"question": "…"}]}, the answer {"predictions": ["…"]}. GET /health says what is served.

    Values of variables go into the prompt. A value named input, prompt, message, question, query, text or user_prompt that is no
    variable, or the one that --input names, is the user's message; a text prompt is then the system message. Without one, a text
    prompt is the user's message. Chat prompts are sent with their own roles.

    The prompt's settings, tools and response format are sent too. The answer is data if the prompt asks for JSON, and has `tool_calls`
    if the model calls tools. What the model does not take is listed at the start, and logged.

    \b
      prompt-registry serve-prompt support@production --model openai:gpt-…
    """
    import asyncio  # here, and not at each start of the command line

    check_installed()
    from prompt_registry_plugin.models.prompt_agent import PromptAgent
    from prompt_registry_plugin.models.settings import note_left_out
    from prompt_registry_plugin.registry.current import current_registry
    from prompt_registry_plugin.server.listening import listen
    from prompt_registry_plugin.server.prompt import LOOPBACK, create_prompt_app

    if host not in LOOPBACK and not token:
        raise UserError(f"{host} can be reached from other machines: give --token, or set PROMPT_REGISTRY_TOKEN")
    given: dict[str, Any] = {"input": said, "temperature": temperature, "max_tokens": max_tokens}
    agent = PromptAgent(as_uri(reference), model, **{name: value for name, value in given.items() if value is not None})
    version = current_registry().load_prompt(agent.prompt)
    asked = agent.model_of(version)
    asyncio.run(asked.check())
    left_out: list[str] = getattr(asked, "left_out", lambda _params: [])(agent.params_of(version))
    note_left_out(asked.name, left_out)

    def ready(url: str) -> None:
        what = {"url": url, "prompt": version.uri, "model": asked.name, "simulated": asked.simulated}
        if as_json and left_out:
            what["left_out"] = left_out
        simulated = " (simulated)" if asked.simulated else ""
        echo(
            json.dumps(what) if as_json else f"{version.uri} with {asked.name}{simulated} at {url}/invocations (Ctrl-C stops it)"
        )

    listen(create_prompt_app(agent, token), host, port, ready)
