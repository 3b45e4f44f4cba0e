"""Traces in SQL."""

from __future__ import annotations

import json

from prompt_registry_plugin.records import Span, TraceSummary
from prompt_registry_plugin.store.sql.database import Database
from prompt_registry_plugin.tracing import Trace


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
                "INSERT INTO traces VALUES (?, ?, ?)", [(trace.id, trace.name, trace.started_at) for trace in masked]
            )
            transaction.execute_many(f"INSERT INTO spans VALUES ({', '.join('?' * 10)})", rows)

    def get(self, trace_id: str) -> Trace | None:
        rows = self._database.read("SELECT name, started_at FROM traces WHERE id = ?", (trace_id,))
        if not rows:
            return None
        spans = self._database.read(
            "SELECT id, kind, name, started_at, ended_at, parent_id, attributes, error FROM spans WHERE trace_id = ? "
            "ORDER BY position",
            (trace_id,),
        )
        found = [Span(row[0], row[1], row[2], row[3], row[4], row[5], json.loads(row[6]), row[7]) for row in spans]
        return Trace(rows[0][0], trace_id=trace_id, started_at=rows[0][1], spans=found, is_masked=True)

    def newest(self, limit: int = 50) -> list[TraceSummary]:
        rows = self._database.read(
            "SELECT t.id, t.name, t.started_at, coalesce(max(s.ended_at), t.started_at), count(s.id), count(s.error) FROM traces t "
            "LEFT JOIN spans s ON s.trace_id = t.id GROUP BY t.id, t.name, t.started_at ORDER BY t.started_at DESC, t.id LIMIT ?",
            (limit,),
        )
        return [TraceSummary(row[0], row[1], row[2], row[3] - row[2], row[4], row[5]) for row in rows]
