"""The search of an optimization run: from the baseline to the candidate that its optimizer found best."""

from __future__ import annotations

import random
from collections.abc import Sequence

from prompt_registry_plugin.errors import BudgetExhausted, UserError
from prompt_registry_plugin.evaluation.options import OnEvent
from prompt_registry_plugin.optimize.engine.budget import Meter
from prompt_registry_plugin.optimize.engine.job import Job
from prompt_registry_plugin.optimize.engine.ledger import Ledger
from prompt_registry_plugin.optimize.engine.plan import (
    Costs,
    OptimizationPlan,
    estimate_costs,
    estimate_reflections,
    make_plan,
    measure_costs,
)
from prompt_registry_plugin.optimize.engine.plan_warnings import warn_of_proof, warn_of_rows, warn_of_scores
from prompt_registry_plugin.optimize.engine.probe import probe_baseline
from prompt_registry_plugin.optimize.engine.problem import Problem
from prompt_registry_plugin.optimize.engine.reflections import Reflections
from prompt_registry_plugin.optimize.engine.splits import split_validation
from prompt_registry_plugin.optimize.engine.turns import Turns
from prompt_registry_plugin.protocols import CandidateRecord, OptimizationResult
from prompt_registry_plugin.recording.costs import cost_of
from prompt_registry_plugin.records import Candidate


class Search:
    """The search of one optimization run, with its rollouts and reflections. What an earlier process stored is taken over."""

    def __init__(self, job: Job, meter: Meter, on_event: OnEvent) -> None:
        self._job = job
        self._stored = job.runs.candidates(job.id)
        replays = job.config.deterministic and self._stored_winner_record() is None
        turns = Turns() if replays else None
        self.ledger = Ledger(job.runner, job.runs, job.id, "train", meter, lambda: self.problem.tell(), turns)
        model, prices, plugins = job.reflection_model, job.config.prices, job.registry.plugins
        self._reflections = Reflections(
            model, job.runs, job.id, meter, price=lambda usage: cost_of(model.name, usage, prices, plugins), turns=turns
        )
        rng = random.Random(job.config.seed)  # noqa: S311  a search, not a secret
        train, validation = split_validation(job.splits.get("train", ()), rng, job.config.few)
        self.problem = Problem(
            baseline=job.baseline,
            train=train,
            validation=validation,
            formats={source.name: source.template_format for source in job.sources},
            constraints=job.config.constraints,
            concurrency=job.config.concurrency,
            random=rng,
            run_id=job.id,
            history=[] if replays else list(self._stored),  # a replay decides it all again
            _ledger=self.ledger,
            _reflections=self._reflections,
            _runs=job.runs,
            _on_event=on_event,
        )

    async def run(self) -> Candidate:
        """Return the winner, from the store if the search has ended before.

        Raises what the optimizer raises, except `BudgetExhausted`, and what `probe_baseline` raises.
        """
        problem, optimizer = self.problem, self._job.optimizer
        if (winner := self._stored_winner()) is not None:
            return winner
        if not problem.history:
            problem.decide(problem.baseline, "baseline")
        self._announce()
        if optimizer.reflects:
            self._reflections.check_budget()
        await probe_baseline(self._job, problem, self.ledger)
        self._announce_costs()
        try:
            found = await optimizer.optimize(problem)
        except BudgetExhausted as error:
            found = OptimizationResult(self._last_accepted(), problem.best_score)
            problem.ended = f"the budget was spent: {error}"
            problem.tell(
                "message",
                f"{optimizer.name} ran until the budget was spent ({error}); the last candidate that it accepted counts",
            )
        if not isinstance(found, OptimizationResult) or not isinstance(found.best, Candidate):
            raise UserError(f"Optimizer {optimizer.name!r} returned {found!r:.60}. It has to return an OptimizationResult.")
        if found.score is not None and found.score != problem.best_score:
            problem.note_best(found.score)
        problem.decide(found.best, "winner", detail={"search_score": problem.best_score, "ended": self._why_it_ended()})
        problem.tell("finished")
        return found.best

    def _stored_winner(self) -> Candidate | None:
        """Return the winner if the search ended in an earlier process, which was stopped in the held-out test."""
        record = self._stored_winner_record()
        if record is None:
            return None
        if record.detail.get("search_score") is not None:
            self.problem.note_best(record.detail["search_score"])
        return record.candidate

    def _why_it_ended(self) -> str:
        problem = self.problem
        if problem.ended:
            return problem.ended
        if problem.remaining == 0:
            return "the budget was spent"
        return f"{self._job.optimizer.name} had nothing more to try; {problem.remaining} rollouts of the budget are left"

    def _stored_winner_record(self) -> CandidateRecord | None:
        return next((record for record in self._stored if record.status == "winner"), None)

    def _announce(self) -> None:
        """Report what the search may spend, and what will not work."""
        problem, config = self.problem, self._job.config
        if problem.spent.rollouts:  # it was announced when it began
            problem.tell(
                "started", f"optimization run {self._job.id} goes on after {problem.spent.rollouts} rollouts of {config.budget}"
            )
            return
        problem.tell("started", f"optimization run {self._job.id}: at most {config.budget}")
        train, held_out = self._job.splits.get("train", ()), self._job.held_out
        plan = self._plan(estimate_costs(self._job.baseline.templates, train))
        problem.tell("message", "; ".join(f"{heading}: {text}" for heading, text in plan.lines(config.concurrency)))
        self._warn([*warn_of_rows(train, held_out), *(warn_of_proof(plan) if held_out else [])])
        if not self._job.held_out and config.register == "if_proven":
            problem.tell("message", "there are no held-out examples, so no gain can be proven and nothing will be registered")
        if parts := config.not_importable():
            problem.tell("message", f"if it is stopped it cannot be resumed: its {parts}")

    def _announce_costs(self) -> None:
        """Report what the search will take, as its first rollouts show, and what these say against it."""
        problem = self.problem
        rollouts = [problem.result(problem.baseline, example) for example in problem.train]
        done = [rollout for rollout in rollouts if rollout is not None]
        if not done or problem.status(problem.baseline) != "baseline" or len(problem.history) > 1:
            return  # resumed: it was said before
        plan = self._plan(measure_costs(done, estimate_costs(problem.baseline.templates, problem.train)))
        measured = [line for line in plan.lines(problem.concurrency) if line[0] in ("proof", "about")]
        problem.tell("message", "; ".join(f"{heading}: {text}" for heading, text in measured))
        self._warn(warn_of_scores(done), plan.advice)

    def _plan(self, costs: Costs) -> OptimizationPlan:
        job = self._job
        reflecting = estimate_reflections(
            job.config.budget, job.sources, self._reflection_name, job.config.prices, job.registry.plugins
        )
        return make_plan(job.sources, job.optimizer, len(job.splits.get("train", ())), job.config.budget, costs, reflecting)

    @property
    def _reflection_name(self) -> str | None:
        return self._job.reflection_model.name if self._job.optimizer.reflects else None

    def _warn(self, warnings: Sequence[str], advice: Sequence[str] = ()) -> None:
        for text in warnings:
            self.problem.tell("message", f"warning: {text}")
        for text in advice:
            self.problem.tell("message", f"advice: {text}")

    def _last_accepted(self) -> Candidate:
        """Return the candidate that an optimizer which ran into its budget had accepted last."""
        statuses = ("accepted", "committed", "checkpoint")
        accepted = [record.candidate for record in self.problem.history if record.status in statuses]
        return accepted[-1] if accepted else self.problem.baseline
