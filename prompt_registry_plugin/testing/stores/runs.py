"""Promises about optimization runs, tracked runs and cached rollouts."""

from __future__ import annotations

from dataclasses import replace

from prompt_registry_plugin.protocols import CandidateRecord, ReflectionRecord
from prompt_registry_plugin.records import Candidate, Example, Rollout, Score, TrackedRun, Usage, utc_now
from prompt_registry_plugin.registry.registry import PromptRegistry
from prompt_registry_plugin.testing.stores.case import StoreCase


class RunStoreConformance(StoreCase):
    """A store with `runs`."""

    def test_runs_keep_all_that_a_resume_needs(self, opened: PromptRegistry) -> None:
        """Examples by split and in order, candidates with their fate, each rollout once."""
        runs = opened.store.runs
        examples = {"train": [Example({"q": i}, {"a": str(i)}) for i in range(3)], "test": [Example({"q": 9})]}
        run = runs.create({"name": "x"}, examples)
        assert runs.examples(run.id) == examples
        candidate = Candidate({"p": "text"})
        runs.add_candidate(run.id, CandidateRecord(candidate, "proposed", {"n": 1}))
        runs.add_candidate(run.id, CandidateRecord(candidate, "accepted", {"n": 2}))
        assert [(c.candidate, c.status, c.detail) for c in runs.candidates(run.id)] == [(candidate, "accepted", {"n": 2})]
        rollout = Rollout(examples["train"][0].id, candidate.id, "out", {"s": Score(0.5)}, 0.5, 0.1, Usage(1, 2, 3))
        runs.add_rollout(run.id, "train", rollout)
        runs.add_rollout(run.id, "train", rollout)
        assert runs.rollouts(run.id, "train") == [rollout]
        answer = ReflectionRecord("edit", "a text", Usage(3, 4, 1), 0.5, {"component": "p"})
        runs.add_reflection(run.id, answer)
        assert runs.reflections(run.id) == [answer]
        runs.touch(run.id, 1.5)
        runs.update(run.id, "finished", result={"score": 1})
        found = runs.get(run.id)
        assert found is not None
        assert (found.status, found.result, found.rollouts, found.seconds) == ("finished", {"score": 1}, 1, 1.5)
        assert [record.id for record in runs.newest()] == [run.id]
        assert runs.get("nobody") is None

    def test_kept_rollouts_and_tracked_runs(self, opened: PromptRegistry) -> None:
        """A rollout is kept under its key until another takes its place; a tracked run is what was written last."""
        runs = opened.store.runs
        for score in (0.5, 1.0):
            began = utc_now()
            runs.keep(
                "k",
                Rollout("e", "c", "out", {"s": Score(score)}, score, 0.1, Usage(1, 2, 3), prompts={"p": 3}),
                began,
                {"a.py": "f00"},
            )
        [(rollout, at, files)] = runs.kept(["k", "other"]).values()
        assert (rollout.score, rollout.prompts, at, files) == (1.0, {"p": 3}, began, {"a.py": "f00"})
        run = TrackedRun("r", "experiment", "name", utc_now())
        runs.track(run)
        assert runs.note("r", "params", {"a": "1"}) == runs.note("r", "metrics", {"m": 0.5}) == {}
        assert runs.note("r", "params", {"a": "2", "b": "3"}) == {"a": "1"}
        assert runs.note("r", "metrics", {"m": 0.75}) == runs.note("r", "tags", {"t": "x"}) == {}
        done = replace(run, ended_at=utc_now(), error="x")
        runs.track(done)
        noted = {"params": {"a": "1", "b": "3"}, "metrics": {"m": 0.75}, "tags": {"t": "x"}}
        assert runs.tracked("r") == replace(done, **noted)  # type: ignore[arg-type]
        runs.forget_kept(began)
        assert len(runs.kept(["k"])) == 1
        runs.forget_kept(utc_now())
        assert runs.kept(["k"]) == {}
        assert runs.tracked("s") is None
