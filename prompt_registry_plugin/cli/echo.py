"""Writing to the terminal: every text passes through here or through `display.console`, so that control characters are visible."""

from __future__ import annotations

import io
import json
import logging
import sys
from typing import Any, TextIO

import click

from prompt_registry_plugin.masking.controls import escape_json, visible


def echo(text: str = "", *, err: bool = False, nl: bool = True) -> None:
    """Print a text with its control characters visible."""
    click.echo(visible(text), err=err, nl=nl)


def json_text(value: Any, *, indent: int | None = None) -> str:
    """Return JSON for standard output: as it is where that takes Unicode, otherwise in ASCII. No character is lost either way."""
    encoding = (getattr(sys.stdout, "encoding", None) or "utf-8").lower().replace("-", "")
    return escape_json(json.dumps(value, indent=indent, ensure_ascii=encoding not in ("utf8", "utf8sig"), default=str))


def data_stream() -> TextIO:
    """Return standard output for data: in UTF-8, whatever the terminal is."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(encoding="utf-8", errors="strict", newline="\n")
    return sys.stdout


class VisibleFormatter(logging.Formatter):
    """A log format without control characters."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        return visible(super().format(record))
