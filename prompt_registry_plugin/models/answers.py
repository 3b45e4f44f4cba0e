"""Reading what a model answered: plain text without thinking, and JSON objects in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_THINKING = r"think|thinking|thought|thoughts|reasoning|scratchpad"
_TAG = re.compile(rf"^[ \t]*<(?P<end>/?)(?P<name>{_THINKING})>|(?P<late></(?:{_THINKING})>)[ \t]*$", re.I | re.M)
_FENCE = re.compile(r"^ {0,3}(?P<mark>`{3,}|~{3,})(?P<info>[^\n`]*)$", re.M)
_MAX_OBJECTS = 50  # braces that are tried as the start of a JSON object, so that a hostile answer costs no quadratic time


def plain_text(content: Any) -> str | None:
    """Return the text of an answer: a string, None (no text), or a list of parts, of which thinking is left out.

    Return None if `content` is something else.
    """
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    if not isinstance(content, Sequence) or isinstance(content, bytes | bytearray):
        return None
    texts = [_part_text(part) for part in content]
    return None if None in texts else "".join(text for text in texts if text is not None)


def _part_text(part: Any) -> str | None:
    if isinstance(part, str):
        return part
    kind, text = (
        (part.get("type"), part.get("text"))
        if isinstance(part, Mapping)
        else (getattr(part, "type", None), getattr(part, "text", None))
    )
    if kind in ("text", "output_text") or (kind is None and isinstance(text, str)):
        return text if isinstance(text, str) else ""
    return "" if isinstance(kind, str) else None


def without_thinking(answer: str) -> str:
    """Return an answer without its thinking, such as `<think>…</think>`; empty if the thinking has no end.

    What stands before an end without a start is thinking as well. Tags in a fenced block after the thinking are left alone.
    """
    answer = answer.replace("\r\n", "\n")
    while (first := _first_tag(answer)) is not None:
        if first["end"] or first["late"]:
            answer = answer[first.end() :]
            continue
        end = _end_of_thinking(answer, first.end())
        if end is None:
            return ""
        answer = answer[: first.start()] + answer[end:]
    return answer


def _first_tag(answer: str) -> re.Match[str] | None:
    """Return the first tag of thinking outside of fenced blocks."""
    position = 0
    while True:
        tag, fence = _TAG.search(answer, position), _FENCE.search(answer, position)
        if tag is None or fence is None or tag.start() <= fence.start():
            return tag
        close = re.compile(rf"^ {{0,3}}{re.escape(fence['mark'])}{re.escape(fence['mark'][0])}*[ \t]*$", re.M)
        end = close.search(answer, fence.end())
        if end is None:  # a text that was cut off; it is not read anyway
            return None
        position = end.end()


def _end_of_thinking(answer: str, start: int) -> int | None:
    """Return where the thinking that begins before `start` ends; blocks of thinking may be nested."""
    depth = 1
    for tag in re.compile(rf"<(/?)(?:{_THINKING})>", re.I).finditer(answer, start):
        depth += -1 if tag[1] else 1
        if depth == 0:
            return tag.end()
    return None


def json_objects(answer: str) -> Iterator[dict[str, Any]]:
    """Yield the JSON objects in an answer, in order; objects within others are not yielded."""
    decoder, position = json.JSONDecoder(), 0
    for _ in range(_MAX_OBJECTS):
        position = answer.find("{", position)
        if position < 0:
            return
        try:
            found, position = decoder.raw_decode(answer, position)
        except (ValueError, RecursionError):
            position += 1
            continue
        if isinstance(found, dict):
            yield found
