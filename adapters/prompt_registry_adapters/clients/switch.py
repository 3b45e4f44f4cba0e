"""Whether an adapter is on. A wrapper that another library wrapped since cannot be taken away; it falls silent by this."""

from __future__ import annotations


class Switch:
    """What the wrappers of one adapter look at first."""

    on = False
