"""What a resumed search takes over from the stored decisions of an earlier process, besides its head: what that process had not finished.

A process may end between any two steps: an edit may have been proposed and not tested, accepted and not committed, or committed and not
checked. Each of these steps is made up for. Otherwise the edit would be lost, since its text is refused as one that was proposed before.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prompt_registry_plugin.optimize.optimizers.commit_queue.blame import ClusterKey
from prompt_registry_plugin.optimize.optimizers.commit_queue.edit import Proposal
from prompt_registry_plugin.protocols import CandidateRecord
from prompt_registry_plugin.records import Candidate


@dataclass(frozen=True, slots=True)
class StoredEdit:
    """An edit as an earlier process stored it."""

    proposal: Proposal
    """What was proposed, and for which version."""
    detail: Mapping[str, Any]
    """What is stored with it: `shown` and `others` (example ids), `aimed_at` (kinds of failures), `gain` if it was accepted."""

    @property
    def keys(self) -> set[ClusterKey]:
        """The clusters that it was aimed at; empty for a rewrite of everything."""
        changed = self.proposal.as_edit(0.0).changes
        return {(component, kind) for component in changed for kind in self.detail.get("aimed_at", ())}


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The edits of an earlier process that are not finished, and what its finished ones taught."""

    untested: list[StoredEdit] = field(default_factory=list)
    """Proposed, and not tested to the end."""
    uncommitted: list[StoredEdit] = field(default_factory=list)
    """Accepted, and not committed."""
    tested: list[tuple[StoredEdit, bool]] = field(default_factory=list)
    """Tested to the end, with whether they were accepted, in the order of the proposals."""


def unfinished(records: Sequence[CandidateRecord]) -> Unfinished:
    """Return what an earlier process left, from its decisions."""
    committed = {record.detail["edit"] for record in records if "commit" in record.detail}
    found = Unfinished()
    for record, edit in sorted(_edits(records), key=lambda pair: pair[1].proposal.number):
        was_accepted = record.status == "accepted" or "commit" in record.detail or edit.proposal.number in committed
        if record.status == "proposed":
            found.untested.append(edit)
            continue
        found.tested.append((edit, was_accepted))
        if record.status == "accepted" and edit.proposal.number not in committed:
            found.uncommitted.append(edit)
    return found


def _edits(records: Sequence[CandidateRecord]) -> Iterator[tuple[CandidateRecord, StoredEdit]]:
    candidates: dict[str, Candidate] = {record.candidate.id: record.candidate for record in records}
    for record in records:
        base = candidates.get(record.candidate.parent_id or "")
        if base is not None and "shown" in record.detail:  # merges and replays of edits show nothing
            yield record, StoredEdit(Proposal(record.detail["edit"], base, record.candidate), record.detail)
