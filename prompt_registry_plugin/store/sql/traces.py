"""Traces in SQL."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from prompt_registry_plugin.frozen import canonical_json
from prompt_registry_plugin.masking import clean
from prompt_registry_plugin.records import Span, TraceFeedback, TraceFilter, TraceSummary
from prompt_registry_plugin.store.sql.database import Database, chunks, iso, marks
from prompt_registry_plugin.tracing.trace import Trace

_SPAN = "EXISTS (SELECT 1 FROM spans s WHERE s.trace_id = t.id AND {})"


class SQLTraces:
    """See `TraceTable` for what each method promises."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, *traces: Trace) -> None:
        masked = [trace.masked() for trace in traces]
        rows = [
            (trace.id, position, span.id, span.parent_id, span.kind, span.name, span.started_at, span.ended_at,
             json.dumps(span.attributes, ensure_ascii=False), span.error)
            for trace in masked
            for position, span in enumerate(trace.spans)
        ]  # fmt: skip
        with self._database.write() as transaction:
            transaction.execute_many(
                "INSERT INTO traces (id, name, started_at, run_id, error) VALUES (?, ?, ?, ?, ?)",
                [(t.id, t.name, t.started_at, t.run_id, None if t.error is None else clean(t.error)) for t in masked],
            )
            transaction.execute_many(f"INSERT INTO spans VALUES ({', '.join('?' * 10)})", rows)

    def get(self, trace_id: str) -> Trace | None:
        rows = self._database.read("SELECT name, started_at, run_id, error FROM traces WHERE id = ?", (trace_id,))
        if not rows:
            return None
        spans = self._database.read(
            "SELECT id, kind, name, started_at, ended_at, parent_id, attributes, error FROM spans WHERE trace_id = ? "
            "ORDER BY position",
            (trace_id,),
        )
        found = [Span(row[0], row[1], row[2], row[3], row[4], row[5], json.loads(row[6]), row[7]) for row in spans]
        name, started_at, run_id, error = rows[0]
        trace = Trace(name, trace_id=trace_id, started_at=started_at, spans=found, is_masked=True, run_id=run_id)
        trace.error = error
        return trace

    def search(self, wanted: TraceFilter) -> list[Trace]:
        conditions: dict[str, Any] = {}
        if wanted.name is not None:
            conditions["t.name = ?"] = wanted.name
        if wanted.run_id is not None:
            conditions["t.run_id = ?"] = wanted.run_id
        if wanted.since is not None:
            conditions["t.started_at >= ?"] = wanted.since
        if wanted.until is not None:
            conditions["t.started_at < ?"] = wanted.until
        if wanted.prompt is not None:
            conditions[_SPAN.format("s.kind = 'prompt' AND s.name = ?")] = wanted.prompt
        clauses = list(conditions)
        if wanted.failed is not None:
            clauses.append(f"{'' if wanted.failed else 'NOT '}(t.error IS NOT NULL OR {_SPAN.format('s.error IS NOT NULL')})")
        where = f"WHERE {' AND '.join(clauses)} " if clauses else ""
        rows = self._database.read(
            f"SELECT t.id FROM traces t {where}ORDER BY t.started_at DESC, t.id LIMIT ?", (*conditions.values(), wanted.limit)
        )
        return [trace for (trace_id,) in rows if (trace := self.get(trace_id)) is not None]

    def add_feedback(self, feedback: TraceFeedback) -> None:
        with self._database.write() as transaction:
            transaction.execute(
                "INSERT INTO trace_feedback (trace_id, name, value, rationale, expectations, created_at, created_by) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (feedback.trace_id, feedback.name, canonical_json(feedback.value), feedback.rationale,
                 canonical_json(feedback.expectations), iso(feedback.created_at), feedback.created_by),
            )  # fmt: skip

    def feedback(self, trace_ids: Sequence[str]) -> list[TraceFeedback]:
        found: list[tuple[Any, ...]] = []
        for some in chunks(list(trace_ids)):
            found += self._database.read(
                "SELECT id, trace_id, name, value, rationale, expectations, created_at, created_by FROM trace_feedback "
                f"WHERE trace_id IN ({marks(some)})",
                tuple(some),
            )
        return [
            TraceFeedback(row[1], row[2], json.loads(row[3]), row[4], json.loads(row[5]), datetime.fromisoformat(row[6]), row[7])
            for row in sorted(found)
        ]

    def newest(self, limit: int = 50) -> list[TraceSummary]:
        rows = self._database.read(
            "SELECT t.id, t.name, t.started_at, coalesce(max(s.ended_at), t.started_at), count(s.id), "
            "count(s.error) + count(DISTINCT t.error) FROM traces t "
            "LEFT JOIN spans s ON s.trace_id = t.id GROUP BY t.id, t.name, t.started_at ORDER BY t.started_at DESC, t.id LIMIT ?",
            (limit,),
        )
        return [TraceSummary(row[0], row[1], row[2], row[3] - row[2], row[4], row[5]) for row in rows]
