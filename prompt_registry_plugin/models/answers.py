"""Reading what a model answered: plain text without thinking, and JSON objects in it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

_THINKING = r"think|thinking|thought|thoughts|reasoning|scratchpad"
_TAG = re.compile(rf"^[ \t]*<(?P<end>/?)(?P<name>{_THINKING})>|(?P<late></(?:{_THINKING})>)[ \t]*$", re.I | re.M)
_START = re.compile(rf"<(?:{_THINKING})>", re.I)
_FENCE = re.compile(r"^ {0,3}(?:`{3,}|~{3,})[^\n`]*$", re.M)
_LIMITS = {"length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"}
_MAX_OBJECTS = 50  # braces that are tried as the start of a JSON object, so that a hostile answer costs no quadratic time


class CutOff(str):
    """The text of an answer that ended at the model's limit of output tokens, so that its end is missing."""

    __slots__ = ()


def is_cut_off(finish_reason: str | None) -> bool:
    """Return whether an answer ended at a limit, by what OpenAI, Anthropic, Google and others call that."""
    return str(finish_reason).rpartition(".")[2].lower() in _LIMITS


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
    """Return an answer without the thinking that it begins with, such as `<think>…</think>`.

    Return an empty string if the thinking has no end, or begins later, before any fenced block: it may hold a draft.

    What stands before an end without a start is thinking as well, with its blocks. Other tags of thinking are part of the answer.
    """
    answer = answer.replace("\r\n", "\n")
    while (tag := _TAG.search(answer)) is not None:
        before = answer[: tag.start()]
        fences = len(_FENCE.findall(before))
        if tag["end"] or tag["late"]:
            if fences % 2 or _START.search(before):  # within a block, or the end of thinking that the block tells of
                break
            answer = answer[tag.end() :]
            continue
        if fences:
            break
        end = None if before.strip() else _end_of_thinking(answer, tag.end())
        if end is None:
            return ""
        answer = answer[end:]
    return answer


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
