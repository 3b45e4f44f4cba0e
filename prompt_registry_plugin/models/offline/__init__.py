"""A simulated model, for trying everything with no key and no network: it follows its instructions, and nothing more.

As a task model it reads the labels that its prompt lists and whatever the prompt says about each, compares the message with
that by ordinary word statistics, and answers; told to answer with the label only, it does, else it chatters. As a reflection
model it looks for an instruction and for examples with feedback in its prompt, and proposes a rewrite, which sometimes is worse.
It knows no data set, no wording of ours, and no right answer that its prompt does not show. It is no language model: what it
gains from a better prompt says that the machinery works, not what a real model would gain. As a judge it compares words.
"""

from __future__ import annotations

from prompt_registry_plugin.models.offline.model import OfflineModel, OfflineSettings

__all__ = ["OfflineModel", "OfflineSettings"]
