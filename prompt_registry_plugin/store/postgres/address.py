"""What a `postgresql://` registry URL says: where the server is, and three settings of ours."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from prompt_registry_plugin.errors import InvalidStore
from prompt_registry_plugin.masking import mask_secrets

_SCHEMA = re.compile(r"[a-z_][a-z0-9_]{0,40}")


@dataclass(frozen=True, slots=True)
class Address:
    """`conninfo` is what libpq gets, `place` how messages name it, `timeout` how many seconds a read may take to give up."""

    conninfo: str
    place: str
    schema: str
    timeout: float
    copy: Path


def parse_url(url: str) -> Address:
    """The address in a URL such as `postgresql://user@host/database?schema=team&timeout=2`. Raises `InvalidStore`.

    `schema` (default `prompt_registry`) holds all tables; `timeout` is 2 seconds by default; other parameters are libpq's.
    """
    place = mask_secrets(url)
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError as error:
        raise InvalidStore(f"cannot read registry URL {place!r}: {error}") from error
    parameters = dict(parse_qsl(parts.query, keep_blank_values=True))
    schema = parameters.pop("schema", "prompt_registry")
    if not _SCHEMA.fullmatch(schema):
        raise InvalidStore(f"registry URL {place!r}: a schema holds lower-case letters, digits and '_', not {schema!r}")
    try:
        timeout = float(parameters.pop("timeout", "2"))
    except ValueError:
        timeout = 0.0
    if not 0.05 <= timeout <= 600:
        raise InvalidStore(f"registry URL {place!r}: timeout is a number of seconds between 0.05 and 600")
    conninfo = urlunsplit(("postgresql", parts.netloc, parts.path, urlencode(parameters), ""))
    # The password is no part of the name: a rotated one must not hide the copy.
    named = hashlib.sha256(repr((parts.username, parts.hostname, parts.port, parts.path, schema)).encode()).hexdigest()[:16]
    folder = os.environ.get("PROMPT_REGISTRY_CACHE") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Address(conninfo, place, schema, timeout, Path(folder) / "prompt-registry" / f"{named}.db")
