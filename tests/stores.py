"""Registries for tests: a SQLite file, or a schema of its own in the PostgreSQL database that is there."""

from __future__ import annotations

import functools
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.markers import need

POSTGRES = os.environ.get("PROMPT_REGISTRY_TEST_POSTGRES") or "postgresql://postgres@127.0.0.1:5432/test"


@functools.cache
def why_no_postgres() -> str | None:
    """Why PostgreSQL cannot be tested here, or None."""
    import psycopg

    try:
        with psycopg.connect(POSTGRES, connect_timeout=3):
            return None
    except psycopg.Error as error:
        if os.environ.get("PROMPT_REGISTRY_TEST_POSTGRES"):
            raise  # somebody asked for it by name
        return f"no PostgreSQL at {POSTGRES}: {error}"


@contextmanager
def postgres_url() -> Iterator[str]:
    """The URL of an empty registry in PostgreSQL, which is dropped afterwards. Skips the test when there is no server.

    Its time-out is long, so that a busy machine is not taken for a lost server; who appends `&timeout=…` has another one.
    """
    need("postgres", "PostgreSQL")
    if reason := why_no_postgres():
        pytest.skip(reason)
    import psycopg

    schema = f"t_{secrets.token_hex(6)}"
    try:
        yield f"{POSTGRES}{'&' if '?' in POSTGRES else '?'}schema={schema}&timeout=60"
    finally:
        with psycopg.connect(POSTGRES, autocommit=True) as connection:
            connection.execute(f"DROP SCHEMA IF EXISTS {schema} CASCADE")
