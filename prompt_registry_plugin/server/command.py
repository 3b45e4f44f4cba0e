"""The command `prompt-registry offline-model`."""

from __future__ import annotations

from importlib.util import find_spec

import click

from prompt_registry_plugin.errors import PluginError


@click.command("offline-model")
@click.option("--port", type=click.IntRange(0, 65535), default=8931, show_default=True, help="0 takes a free port.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same seed, same answers.")
@click.option("--latency", type=click.FloatRange(0), default=0.0, show_default=True, help="Seconds that every call takes.")
@click.option("--error-rate", type=click.FloatRange(0, 1), default=0.0, show_default=True, help="Share of calls that fail.")
@click.option("--json", "as_json", is_flag=True, help="Print the address as JSON.")
def offline_model(port: int, seed: int, latency: float, error_rate: float, as_json: bool) -> None:
    """Serve the simulated model in OpenAI's protocol, on 127.0.0.1 only.

    Point a client at it with OPENAI_BASE_URL=http://127.0.0.1:PORT/v1 and any OPENAI_API_KEY. Models whose names contain "reflect" rewrite
    prompts; others do what they are asked: rewrite, judge, or else classify. It is a simulation for trying things out, not a
    language model.
    """
    check_installed()
    from prompt_registry_plugin.models.offline import OfflineSettings
    from prompt_registry_plugin.server.offline import serve

    serve(port, OfflineSettings(seed, latency, error_rate), as_json=as_json)


def check_installed() -> None:
    """Raise `PluginError` if Starlette or uvicorn is missing."""
    if find_spec("uvicorn") is None or find_spec("starlette") is None:
        raise PluginError("the server needs two more packages: pip install 'prompt-registry-plugin[web]'")
