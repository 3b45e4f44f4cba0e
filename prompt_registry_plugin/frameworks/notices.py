"""Warnings that stand in an agent's log once, however often their cause comes by."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)
_MAX_SHOWN = 2_000  # what a message quotes may be different each time, in a process that never ends
_shown: set[str] = set()


def warn_once(message: str, about: str | None = None) -> None:
    """Log `message` as a warning, the first time that this process has it.

    `about` names the cause, if the message also quotes something that is different each time: the cause is logged once.
    """
    cause = about or message
    if cause not in _shown:
        if len(_shown) >= _MAX_SHOWN:
            _shown.clear()
        _shown.add(cause)
        logger.warning("%s", message)
