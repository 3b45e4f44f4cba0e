"""A simulated model, to try everything without a key or network. It follows its instructions by rules.

As a task model it reads the labels in its prompt and the text about each. It compares the message with them by word statistics
and answers with a label: alone if the prompt says so, else in a sentence. As a reflection model it looks for an instruction and
for examples with feedback in its prompt, and proposes a rewrite, which is sometimes worse. As a judge it compares words.

It knows no dataset, no phrases of this package, and no right answer that its prompt does not show. It is not a language model.
Its gain from a better prompt shows that the machinery works, and nothing about the gain of a real model.
"""

from __future__ import annotations

from prompt_registry_plugin.models.offline.model import OfflineModel, OfflineSettings

__all__ = ["OfflineModel", "OfflineSettings"]
