"""Warnings that stand in an agent's log once, however often their cause comes by."""

from __future__ import annotations

import logging

logger = logging.getLogger(__name__)
_shown: set[str] = set()


def warn_once(message: str) -> None:
    """Log `message` as a warning, the first time that this process has it."""
    if message not in _shown:
        _shown.add(message)
        logger.warning("%s", message)
