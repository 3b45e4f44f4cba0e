"""Optimization runs in SQL. Every rollout and every candidate is a row, so that a killed run can resume."""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, get_args

from prompt_registry_plugin.concurrency import this_process
from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.masking import clean
from prompt_registry_plugin.protocols import CandidateRecord, ReflectionRecord, RunRecord
from prompt_registry_plugin.records import (
    Candidate,
    Example,
    NoteKind,
    Rollout,
    RunStatus,
    TrackedRun,
    Usage,
    utc_now,
)
from prompt_registry_plugin.rollout_json import body_of, rollout_of
from prompt_registry_plugin.store.sql.database import Database, chunks, iso, marks

_RUN_COLUMNS = (
    "id, status, created_at, updated_at, config, result, error, owner, "
    "(SELECT count(*) FROM rollouts WHERE run_id = runs.id AND split = 'train'), seconds"
)


class SQLRuns:
    """See `RunTable` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def create(self, config: Mapping[str, Any], examples: Mapping[str, Sequence[Example]]) -> RunRecord:
        run_id, now = f"{utc_now():%Y%m%d}-{secrets.token_hex(3)}", utc_now().isoformat()
        rows = [
            (run_id, split, position, example.id, canonical_json(example.inputs), canonical_json(example.expectations))
            for split, listed in examples.items()
            for position, example in enumerate(listed)
        ]
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO runs (id, status, created_at, updated_at, config, owner) VALUES (?, 'running', ?, ?, ?, ?)",
                (run_id, now, now, canonical_json(config), this_process()),
            )
            transaction.execute_many("INSERT INTO run_examples VALUES (?, ?, ?, ?, ?, ?)", rows)
        created = self.get(run_id)
        assert created is not None
        return created

    def update(
        self, run_id: str, status: RunStatus, *, result: Mapping[str, Any] | None = None, error: str | None = None
    ) -> None:
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE runs SET status = ?, updated_at = ?, owner = ?, result = coalesce(?, result), error = ? WHERE id = ?",
                (
                    status,
                    utc_now().isoformat(),
                    this_process(),
                    None if result is None else canonical_json(result),
                    None if error is None else clean(error),
                    run_id,
                ),
            )

    def touch(self, run_id: str, seconds: float) -> None:
        with self._database.write() as transaction:
            transaction.execute(
                "UPDATE runs SET updated_at = ?, seconds = ? WHERE id = ?", (utc_now().isoformat(), seconds, run_id)
            )

    def get(self, run_id: str) -> RunRecord | None:
        rows = self._database.read(f"SELECT {_RUN_COLUMNS} FROM runs WHERE id = ?", (run_id,))
        return _run(rows[0]) if rows else None

    def newest(self, limit: int = 50) -> list[RunRecord]:
        rows = self._database.read(f"SELECT {_RUN_COLUMNS} FROM runs ORDER BY created_at DESC LIMIT ?", (limit,))
        return [_run(row) for row in rows]

    def examples(self, run_id: str) -> dict[str, list[Example]]:
        found: dict[str, list[Example]] = {}
        for split, example_id, inputs, expectations in self._database.read(
            "SELECT split, id, inputs, expectations FROM run_examples WHERE run_id = ? ORDER BY split, position",
            (run_id,),
        ):
            found.setdefault(split, []).append(Example(json.loads(inputs), json.loads(expectations), example_id))
        return found

    def add_candidate(self, run_id: str, record: CandidateRecord) -> None:
        candidate = record.candidate
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO candidates VALUES (?, ?, (SELECT count(*) FROM candidates WHERE run_id = ?), ?, ?, ?, ?, ?) "
                "ON CONFLICT (run_id, id) DO UPDATE SET status = excluded.status, detail = excluded.detail",
                (run_id, candidate.id, run_id, candidate.parent_id, record.status, candidate.note,
                 canonical_json(candidate.templates), canonical_json(record.detail)),
            )  # fmt: skip

    def candidates(self, run_id: str) -> list[CandidateRecord]:
        rows = self._database.read(
            "SELECT templates, parent_id, note, id, status, detail FROM candidates WHERE run_id = ? ORDER BY position",
            (run_id,),
        )
        return [CandidateRecord(Candidate(json.loads(row[0]), *row[1:4]), row[4], json.loads(row[5])) for row in rows]

    def add_rollout(self, run_id: str, split: str, rollout: Rollout) -> None:
        body, why = body_of(rollout), rollout.error or rollout.unscored
        error = None if why is None else clean(why)
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO rollouts (run_id, split, candidate_id, example_id, score, error, body) VALUES (?, ?, ?, ?, ?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                (
                    run_id,
                    split,
                    rollout.candidate_id,
                    rollout.example_id,
                    rollout.score or 0.0,  # the column takes no NULL; the body, which is read, says that there is no score
                    error,
                    body,
                ),
            )

    def rollouts(self, run_id: str, split: str) -> list[Rollout]:
        rows = self._database.read("SELECT body FROM rollouts WHERE run_id = ? AND split = ? ORDER BY id", (run_id, split))
        return [rollout_of(json.loads(body)) for (body,) in rows]

    def add_reflection(self, run_id: str, record: ReflectionRecord) -> None:
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO reflections (run_id, purpose, detail, answer, input_tokens, output_tokens, cost) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (run_id, record.purpose, canonical_json(record.detail), _make_storable(record.answer),
                 record.usage.input_tokens, record.usage.output_tokens, record.cost),
            )  # fmt: skip

    def reflections(self, run_id: str) -> list[ReflectionRecord]:
        rows = self._database.read(
            "SELECT purpose, detail, answer, input_tokens, output_tokens, cost FROM reflections WHERE run_id = ? ORDER BY id",
            (run_id,),
        )
        return [ReflectionRecord(row[0], row[2], Usage(row[3], row[4], 1), row[5], json.loads(row[1])) for row in rows]

    def keep(self, key: str, rollout: Rollout, at: datetime, files: Mapping[str, str]) -> None:
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO kept_rollouts VALUES (?, ?, ?, ?) "
                "ON CONFLICT (key) DO UPDATE SET body = excluded.body, files = excluded.files, kept_at = excluded.kept_at",
                (key, body_of(rollout), canonical_json(files), iso(at)),
            )

    def kept(self, keys: Sequence[str]) -> dict[str, tuple[Rollout, datetime, Mapping[str, str]]]:
        found: dict[str, tuple[Rollout, datetime, Mapping[str, str]]] = {}
        for some in chunks(list(keys)):
            where = f"WHERE key IN ({marks(some)})"
            rows = self._database.read(f"SELECT key, body, kept_at, files FROM kept_rollouts {where}", tuple(some))
            for key, body, at, files in rows:
                found[key] = rollout_of(json.loads(body)), datetime.fromisoformat(at), json.loads(files)
        return found

    def forget_kept(self, before: datetime) -> None:
        if self._database.read("SELECT 1 FROM kept_rollouts WHERE kept_at < ? LIMIT 1", (iso(before),)):
            with self._database.write() as transaction:
                transaction.execute("DELETE FROM kept_rollouts WHERE kept_at < ?", (iso(before),))

    def track(self, run: TrackedRun) -> None:
        ended = None if run.ended_at is None else iso(run.ended_at)
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO tracked_runs VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO UPDATE SET "
                "ended_at = excluded.ended_at, error = excluded.error",
                (run.id, run.experiment, run.name, iso(run.started_at), ended, None if run.error is None else clean(run.error)),
            )

    def note(self, run_id: str, kind: NoteKind, notes: Mapping[str, Any]) -> dict[str, Any]:
        rows = [(run_id, kind, name, canonical_json(value)) for name, value in notes.items()]
        otherwise = "DO NOTHING" if kind == "params" else "(run_id, kind, name) DO UPDATE SET value = excluded.value"
        with self._database.write() as transaction:
            transaction.execute_many(f"INSERT INTO tracked_notes VALUES (?, ?, ?, ?) ON CONFLICT {otherwise}", rows)
        if kind != "params":
            return {}
        noted = self._notes(run_id).get(kind, {})
        return {name: noted[name] for name, value in notes.items() if noted[name] != value}

    def tracked(self, run_id: str) -> TrackedRun | None:
        rows = self._database.read(
            "SELECT id, experiment, name, started_at, ended_at, error FROM tracked_runs WHERE id = ?", (run_id,)
        )
        for row in rows:
            started, ended = datetime.fromisoformat(row[3]), row[4] and datetime.fromisoformat(row[4])
            noted = self._notes(run_id)
            kinds = (noted.get(kind, {}) for kind in get_args(NoteKind))
            return TrackedRun(row[0], row[1], row[2], started, ended, row[5], *kinds)
        return None

    def _notes(self, run_id: str) -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for kind, name, value in self._database.read("SELECT kind, name, value FROM tracked_notes WHERE run_id = ?", (run_id,)):
            found.setdefault(kind, {})[name] = json.loads(value)
        return found


def _run(row: tuple[Any, ...]) -> RunRecord:
    return RunRecord(
        row[0],
        row[1],
        datetime.fromisoformat(row[2]),
        datetime.fromisoformat(row[3]),
        json.loads(row[4]),
        json.loads(row[5]) if row[5] else None,
        row[6],
        row[8],
        row[7],
        row[9],
    )


def _make_storable(text: str) -> str:
    """Return a text with the characters replaced that PostgreSQL refuses.

    Secrets stay in it and are masked where it is shown: a resume has to find the same words.
    """
    return text.replace("\0", "�").encode("utf-8", "replace").decode()
