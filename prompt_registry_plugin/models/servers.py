"""Servers that speak OpenAI's protocol, by name: `ollama:NAME`, and `openai+http://host:port/v1:NAME` for any other.

A login in an address is sent and never shown: messages, traces and stored runs have a mask in its place.
"""

from __future__ import annotations

import os
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from prompt_registry_plugin.errors import UserError
from prompt_registry_plugin.masking import mask_secrets
from prompt_registry_plugin.masking.forms import MARK, MODEL_ADDRESS

LOGIN = "PROMPT_REGISTRY_MODEL_LOGIN"
"""Environment variable with `user:password`, for an address whose login was masked, as in a stored run."""
SCHEMES = ("openai+http", "openai+https")
_PLACEHOLDER = "no-key"  # the client wants a key, and the server does not
_ADDRESS = re.compile(
    r"(?P<scheme>https?)://(?:(?P<login>[^/\s]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/:@?#\[\]]+)(?::(?P<port>\d{1,5})(?=[:/]|$))?"
    r"(?P<path>/[^\s:@?#]*)?"
)
_NAMED = re.compile(r":(?P<name>\S(?:.*\S)?)")
_FORM = "openai+http://host:port/v1:model"


@dataclass(frozen=True, slots=True)
class Server:
    """Where a server listens and what it gets as a key. An empty `url` is what `OPENAI_BASE_URL` says, or OpenAI itself."""

    url: str = ""
    """The base address, without a login."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable that holds the key."""
    address_variable: str = "OPENAI_BASE_URL"
    """Environment variable that holds the address; empty if the address is part of the model's name."""
    login: str = field(default="", repr=False)
    """`user:password`, sent instead of a key."""
    is_ollama: bool = False
    """Whether the server is Ollama, which lists all its models and loads new ones with `ollama pull`."""

    @property
    def needs_key(self) -> bool:
        """Whether there is no model without a key."""
        return not self.url

    def client_options(self) -> dict[str, Any]:
        """Return the arguments of the client: the address, and the key of the environment, a login or a placeholder."""
        if not self.url:
            return {}
        options: dict[str, Any] = {"base_url": self.url, "api_key": os.environ.get(self.key_variable) or _PLACEHOLDER}
        if self.login:
            options["api_key"] = _PLACEHOLDER
            options["default_headers"] = {"Authorization": f"Basic {b64encode(self.login.encode()).decode()}"}
        return options

    def hide(self, text: str) -> str:
        """Return a text of the server or the client in one line, without the key and the login."""
        for secret in (os.environ.get(self.key_variable) or "", self.login, self.login.partition(":")[2]):
            if len(secret) >= 4:
                text = text.replace(secret, MARK)
        return mask_secrets(" ".join(text.split()))


def server_and_name(spec: str) -> tuple[Server, str]:
    """Return the server and the model's name of `openai+http://host:port/v1:NAME`. Raises `UserError` for any other form."""
    if (found := _ADDRESS.match(spec.removeprefix("openai+"))) is None:
        raise UserError(f"a model on a server of your own is written {_FORM}; check the host")  # the text may hold a login
    named = _NAMED.fullmatch(spec.removeprefix("openai+"), found.end())
    if named is None:
        raise UserError(
            f"the address of a model ends with a colon and the model's name, {_FORM}; in a login, write / as %2F, : as %3A and @ as %40"
        )
    if "@" in named["name"] and not found["path"]:  # the second half of a login, perhaps
        raise UserError(
            f"the address of a model with @ in its name needs a path, {_FORM}; in a login, write / as %2F and @ as %40"
        )
    return Server(_url(found), address_variable="", login=_login(found["login"])), named["name"]


def ollama() -> Server:
    """Return the Ollama server: at `OLLAMA_HOST`, in the forms that Ollama takes, or on this machine. Raises `UserError`."""
    said = os.environ.get("OLLAMA_HOST", "").strip().strip("\"'")
    address = said if "://" in said else f"http://{f'127.0.0.1{said}' if said.startswith(':') or not said else said}"
    found = _ADDRESS.fullmatch(address)
    if found is None:
        raise UserError("OLLAMA_HOST is an address such as 127.0.0.1:11434 or http://127.0.0.1:11434; correct or unset it")
    url = _url(found, default_port="" if "://" in said else ":11434")
    host = re.sub(r"//(?:0\.0\.0\.0|\[::\])(?=[:/]|$)", "//127.0.0.1", url)  # where a server listens, not where one asks
    login = _login(found["login"])
    return Server(f"{host.removesuffix('/v1')}/v1", "OLLAMA_API_KEY", "OLLAMA_HOST", login, is_ollama=True)


def split_spec(spec: str) -> tuple[str, str]:
    """Return the provider, which has the address if there is one, and the model's name of `provider:name`."""
    if spec.startswith(SCHEMES):
        _, name = server_and_name(spec)
        return spec.removesuffix(f":{name}"), name
    provider, _, name = spec.partition(":")
    return provider, name


def without_logins(data: Any) -> Any:
    """Return JSON data with the logins masked in the addresses of models; everything else stays as it is."""
    if isinstance(data, str):
        return MODEL_ADDRESS.mask(data)
    if isinstance(data, Mapping):
        return {key: without_logins(value) for key, value in data.items()}
    return [without_logins(value) for value in data] if isinstance(data, list | tuple) else data


def _url(found: re.Match[str], default_port: str = "") -> str:
    port = found["port"]
    if port and int(port) > 65_535:
        raise UserError(f"the address of a model has no port {port}: ports end at 65535")
    return f"{found['scheme']}://{found['host']}{f':{port}' if port else default_port}{(found['path'] or '').rstrip('/')}"


def _login(given: str | None) -> str:
    """Return `user:password`, from the environment where the address has a mask only."""
    if not given:
        return ""
    if MARK not in given and set(given) != {"*"}:
        return unquote(given)
    if login := os.environ.get(LOGIN):
        return login
    raise UserError(f"the login of this model's address is not stored; set {LOGIN}=user:password")
