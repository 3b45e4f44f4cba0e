"""Reading a `postgresql://` registry URL: where the server is, and the registry's own settings `schema` and `timeout`."""

from __future__ import annotations

import hashlib
import math
import os
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

from psycopg import ProgrammingError
from psycopg.conninfo import conninfo_to_dict

from prompt_registry_plugin.errors import InvalidStore
from prompt_registry_plugin.masking import mask_url

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,40}")
_OURS = ("schema", "timeout")
_ENVIRONMENT = ("PGHOST", "PGHOSTADDR", "PGPORT", "PGDATABASE", "PGUSER", "PGSERVICE")


@dataclass(frozen=True, slots=True)
class Address:
    """A parsed registry URL."""

    conninfo: str
    """The URL without the registry's own settings, for libpq."""
    place: str
    """The URL without its password, for messages."""
    schema: str
    """The schema of all tables."""
    timeout: float
    """Seconds after which a read gives up."""
    options: str
    """Options for the server that the URL names."""
    defaults: dict[str, Any]
    """Settings for libpq that the URL does not name."""
    copy: Path
    """The file of the last good copy."""


def parse_url(url: str) -> Address:
    """Return the address in a URL such as `postgresql://user@host/database?schema=team&timeout=2`. Raises `InvalidStore`.

    `schema` is `prompt_registry` by default, `timeout` 2 seconds. Everything else goes to libpq unchanged: several hosts, sockets,
    certificates.
    """
    place = mask_url(url)
    base, _, query = url.partition("?")
    server = base.rpartition("/")[0] if base.count("/") > 2 else base  # a database may have any name
    if server.count("@") > 1:  # libpq would take a part of the password for the host, and name it
        raise InvalidStore(f"registry URL {place!r}: an '@' in the login is written %40, a '/' %2F and a '#' %23")
    ours = {key: value for key, value in parse_qsl(query, keep_blank_values=True) if key in _OURS}
    rest = "&".join(part for part in query.split("&") if part and part.partition("=")[0] not in _OURS)
    schema = ours.get("schema", "prompt_registry")
    if not _SCHEMA.fullmatch(schema):
        raise InvalidStore(f"registry URL {place!r}: a schema holds lower-case letters, digits and '_', not {schema!r}")
    try:
        timeout = float(ours.get("timeout", "2"))
    except ValueError:
        timeout = 0.0
    if not 0.05 <= timeout <= 600:
        raise InvalidStore(f"registry URL {place!r}: timeout is a number of seconds between 0.05 and 600")
    conninfo = f"{base}?{rest}" if rest else base
    try:
        known = {key: str(value) for key, value in conninfo_to_dict(conninfo).items() if value is not None}
    except ProgrammingError as error:
        raise InvalidStore(f"cannot read registry URL {place!r}: {_without_url(error)}") from error
    if any(port and not port.isdigit() for port in known.get("port", "").split(",")):
        raise InvalidStore(f"cannot read registry URL {place!r}: the port is no number")
    defaults = {"connect_timeout": max(1, math.ceil(timeout)), "application_name": "prompt-registry"}
    return Address(
        conninfo,
        place,
        schema,
        timeout,
        known.get("options", ""),
        {key: value for key, value in defaults.items() if key not in known},
        _copy_of(known, schema),
    )


def _copy_of(known: dict[str, str], schema: str) -> Path:
    """Return the file of the last good copy: one for each database and schema, whether the URL or the environment names it.

    The password does not count, so that the copy is still found after the password was changed.
    """
    named = {key: value for key, value in known.items() if "password" not in key}
    named |= {key: os.environ[key] for key in _ENVIRONMENT if key in os.environ}
    digest = hashlib.sha256(repr((sorted(named.items()), schema)).encode()).hexdigest()[:16]
    return _cache_folder() / f"{digest}.db"


def _cache_folder() -> Path:
    """Return the folder that the system has for what programs can make again, as the package platformdirs finds it."""
    if chosen := os.environ.get("PROMPT_REGISTRY_CACHE"):
        return Path(chosen) / "prompt-registry"
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
        return Path(local) / "prompt-registry" / "Cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "prompt-registry"
    given = os.environ.get("XDG_CACHE_HOME", "")
    return (Path(given) if given.strip() else Path.home() / ".cache") / "prompt-registry"


def _without_url(error: Exception) -> str:
    """Return the message of libpq without its quotations from the URL, which may be the password."""
    return re.sub(r'"[^"]*(?:@|://)[^"]*"', '"…"', " ".join(str(error).split()))
