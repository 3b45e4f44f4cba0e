"""The schema in SQLite, as an append-only list of migrations.

A step that was released is never edited: files that have applied it would differ from new ones. For the same reason it imports no
application code, which changes; step 4 cuts texts into words with its own copy of that code. The steps are written in SQL rather than
through table helpers, as a reference for those who read the file with other tools.
"""

from __future__ import annotations

import json
import re

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("prompt_registry_plugin")

APPLICATION_ID = 0x50524547  # "PREG": tells a registry from a database of another program


@migrations()
def m001_prompts(db: Database) -> None:
    """Prompts, versions, aliases with every move, tags and the texts that were adopted."""
    for statement in (
        f"PRAGMA application_id = {APPLICATION_ID}",
        # One row; changes with every change to prompts, so that a cache is checked with one cheap read.
        "CREATE TABLE registry_epoch (id INTEGER PRIMARY KEY CHECK (id = 1), value INTEGER NOT NULL)",
        "INSERT INTO registry_epoch VALUES (1, 0)",
        "CREATE TABLE prompts (name TEXT PRIMARY KEY, created_at TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE prompt_versions (
            name TEXT NOT NULL REFERENCES prompts(name), version INTEGER NOT NULL, template TEXT NOT NULL,
            template_format TEXT NOT NULL, commit_message TEXT, response_format TEXT, model_config TEXT, tools TEXT,
            parent INTEGER, run_id TEXT, content_hash TEXT NOT NULL, created_at TEXT NOT NULL, created_by TEXT NOT NULL,
            PRIMARY KEY (name, version)
        ) WITHOUT ROWID""",
        """CREATE TABLE prompt_aliases (
            name TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (name, alias),
            FOREIGN KEY (name, version) REFERENCES prompt_versions(name, version)
        ) WITHOUT ROWID""",
        "CREATE INDEX prompt_aliases_by_alias ON prompt_aliases (alias, name)",
        """CREATE TABLE alias_moves (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, alias TEXT NOT NULL, from_version INTEGER, to_version INTEGER,
            moved_at TEXT NOT NULL, moved_by TEXT NOT NULL, reason TEXT, rollback INTEGER NOT NULL
        )""",
        "CREATE INDEX alias_moves_by_name ON alias_moves (name, alias, id)",
        """CREATE TABLE prompt_tags (
            name TEXT NOT NULL REFERENCES prompts(name), key TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name, key)
        ) WITHOUT ROWID""",
        "CREATE INDEX prompt_tags_by_value ON prompt_tags (key, value, name)",
        """CREATE TABLE version_tags (
            name TEXT NOT NULL, version INTEGER NOT NULL, key TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (name, version, key), FOREIGN KEY (name, version) REFERENCES prompt_versions(name, version)
        ) WITHOUT ROWID""",
        """CREATE TABLE text_bindings (
            text_hash TEXT PRIMARY KEY, name TEXT NOT NULL REFERENCES prompts(name), alias TEXT NOT NULL, bound_at TEXT NOT NULL
        ) WITHOUT ROWID""",
    ):
        db.execute(statement)


@migrations()
def m002_traces(db: Database) -> None:
    """Finished traces and their spans."""
    for statement in (
        "CREATE TABLE traces (id TEXT PRIMARY KEY, name TEXT NOT NULL, started_at REAL NOT NULL)",
        """CREATE TABLE spans (
            trace_id TEXT NOT NULL REFERENCES traces(id), position INTEGER NOT NULL, id TEXT NOT NULL, parent_id TEXT,
            kind TEXT NOT NULL, name TEXT NOT NULL, started_at REAL NOT NULL, ended_at REAL, attributes TEXT NOT NULL,
            error TEXT, PRIMARY KEY (trace_id, position)
        ) WITHOUT ROWID""",
    ):
        db.execute(statement)


@migrations()
def m003_runs(db: Database) -> None:
    """Optimization runs with all that a resume needs."""
    for statement in (
        """CREATE TABLE runs (
            id TEXT PRIMARY KEY, status TEXT NOT NULL, created_at TEXT NOT NULL, updated_at TEXT NOT NULL,
            config TEXT NOT NULL, result TEXT, error TEXT, owner TEXT NOT NULL
        )""",
        "CREATE INDEX runs_by_time ON runs (created_at)",
        """CREATE TABLE run_examples (
            run_id TEXT NOT NULL REFERENCES runs(id), split TEXT NOT NULL, position INTEGER NOT NULL, id TEXT NOT NULL,
            inputs TEXT NOT NULL, expectations TEXT NOT NULL, PRIMARY KEY (run_id, split, position)
        ) WITHOUT ROWID""",
        """CREATE TABLE candidates (
            run_id TEXT NOT NULL REFERENCES runs(id), id TEXT NOT NULL, position INTEGER NOT NULL, parent_id TEXT,
            status TEXT NOT NULL, note TEXT NOT NULL, templates TEXT NOT NULL, detail TEXT NOT NULL, PRIMARY KEY (run_id, id)
        ) WITHOUT ROWID""",
        """CREATE TABLE rollouts (
            id INTEGER PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs(id), split TEXT NOT NULL, candidate_id TEXT NOT NULL,
            example_id TEXT NOT NULL, score REAL NOT NULL, error TEXT, body TEXT NOT NULL,
            UNIQUE (run_id, split, candidate_id, example_id)
        )""",
    ):
        db.execute(statement)


@migrations()
def m004_complete(db: Database) -> None:
    """Typed variables, archives, deletions that never free a number, protected aliases, a log of changes, search by words."""
    for statement in (
        "ALTER TABLE prompt_versions ADD COLUMN variable_schemas TEXT",
        # `latest_version` is the newest that is left (0: none), `last_version` the highest number ever given.
        "ALTER TABLE prompts ADD COLUMN number INTEGER",
        "ALTER TABLE prompts ADD COLUMN latest_version INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE prompts ADD COLUMN last_version INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE prompts ADD COLUMN archived_at TEXT",
        """WITH counted AS (
            SELECT p.name, row_number() OVER (ORDER BY p.name) AS number,
                (SELECT max(version) FROM prompt_versions v WHERE v.name = p.name) AS latest FROM prompts p
        )
        UPDATE prompts SET number = counted.number, latest_version = coalesce(counted.latest, 0),
            last_version = coalesce(counted.latest, 0) FROM counted WHERE counted.name = prompts.name""",
        "CREATE UNIQUE INDEX prompts_by_number ON prompts (number)",
        "CREATE INDEX prompts_by_time ON prompts (created_at, name)",
        "CREATE INDEX version_tags_by_value ON version_tags (key, value, name, version)",
        "CREATE TABLE protected_aliases (name TEXT NOT NULL, alias TEXT NOT NULL, PRIMARY KEY (name, alias)) WITHOUT ROWID",
        """CREATE TABLE prompt_changes (
            id INTEGER PRIMARY KEY, name TEXT NOT NULL, kind TEXT NOT NULL, version INTEGER, "key" TEXT, old TEXT, new TEXT,
            changed_at TEXT NOT NULL, changed_by TEXT NOT NULL, reason TEXT
        )""",
        "CREATE INDEX prompt_changes_by_name ON prompt_changes (name, id)",
        "CREATE VIRTUAL TABLE prompt_words USING fts5 (words, tokenize = 'unicode61 remove_diacritics 0')",
    ):
        db.execute(statement)

    def texts(value: object) -> list[str]:
        if isinstance(value, str):
            return [value]
        if isinstance(value, dict):
            return [text for key, item in value.items() if key not in ("role", "type") for text in texts(item)]
        return [text for item in value for text in texts(item)] if isinstance(value, list) else []

    rows = db.execute(
        "SELECT p.number, v.template FROM prompts p JOIN prompt_versions v ON v.name = p.name AND v.version = p.latest_version"
    ).fetchall()
    for number, template in rows:
        words = [word for text in texts(json.loads(template)) for word in re.findall(r"[^\W_]+", text.lower())]
        db.execute("INSERT INTO prompt_words (rowid, words) VALUES (?, ?)", (number, " ".join(words)))


@migrations()
def m005_reflections(db: Database) -> None:
    """What the reflection model was asked and answered, and for how long a run was at work: a resume pays for neither again."""
    db.execute("ALTER TABLE runs ADD COLUMN seconds REAL NOT NULL DEFAULT 0")
    db.execute(
        """CREATE TABLE reflections (
            id INTEGER PRIMARY KEY, run_id TEXT NOT NULL REFERENCES runs(id), purpose TEXT NOT NULL, detail TEXT NOT NULL,
            answer TEXT NOT NULL, input_tokens INTEGER NOT NULL, output_tokens INTEGER NOT NULL, cost REAL
        )"""
    )
    db.execute("CREATE INDEX reflections_by_run ON reflections (run_id, id)")


@migrations()
def m006_curation(db: Database) -> None:
    """Data sets by content, what people say about traces, runs that notes and traces belong to, rollouts that are kept."""
    for statement in (
        "ALTER TABLE traces ADD COLUMN run_id TEXT",
        "ALTER TABLE traces ADD COLUMN error TEXT",
        "CREATE INDEX traces_by_time ON traces (started_at)",
        "CREATE INDEX traces_by_run ON traces (run_id) WHERE run_id IS NOT NULL",
        """CREATE TABLE trace_feedback (
            id INTEGER PRIMARY KEY, trace_id TEXT NOT NULL REFERENCES traces(id), name TEXT NOT NULL, value TEXT NOT NULL,
            rationale TEXT, expectations TEXT NOT NULL, created_at TEXT NOT NULL, created_by TEXT NOT NULL
        )""",
        "CREATE INDEX trace_feedback_by_trace ON trace_feedback (trace_id, id)",
        """CREATE TABLE tracked_runs (
            id TEXT PRIMARY KEY, experiment TEXT NOT NULL, name TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT, error TEXT
        )""",
        """CREATE TABLE tracked_notes (
            run_id TEXT NOT NULL REFERENCES tracked_runs(id), kind TEXT NOT NULL, name TEXT NOT NULL, value TEXT NOT NULL,
            PRIMARY KEY (run_id, kind, name)
        ) WITHOUT ROWID""",
        """CREATE TABLE datasets (
            name TEXT NOT NULL, version INTEGER NOT NULL, content_hash TEXT NOT NULL, row_count INTEGER NOT NULL,
            commit_message TEXT, created_at TEXT NOT NULL, created_by TEXT NOT NULL, PRIMARY KEY (name, version)
        ) WITHOUT ROWID""",
        # A row is stored once, however many versions of however many data sets hold it.
        "CREATE TABLE dataset_rows (id TEXT PRIMARY KEY, inputs TEXT NOT NULL, expectations TEXT NOT NULL) WITHOUT ROWID",
        """CREATE TABLE dataset_members (
            name TEXT NOT NULL, version INTEGER NOT NULL, position INTEGER NOT NULL, row_id TEXT NOT NULL REFERENCES dataset_rows(id),
            PRIMARY KEY (name, version, position), FOREIGN KEY (name, version) REFERENCES datasets(name, version)
        ) WITHOUT ROWID""",
        "CREATE TABLE kept_rollouts (key TEXT PRIMARY KEY, body TEXT NOT NULL, files TEXT NOT NULL, kept_at TEXT NOT NULL) WITHOUT ROWID",
    ):
        db.execute(statement)


@migrations()
def m007_bindings(db: Database) -> None:
    """Adopted texts that are recognized after they were rendered; template objects stay in `text_bindings`."""
    db.execute(
        """CREATE TABLE pattern_bindings (
            text_hash TEXT NOT NULL, place TEXT NOT NULL, role TEXT NOT NULL, name TEXT NOT NULL REFERENCES prompts(name),
            alias TEXT NOT NULL, version INTEGER NOT NULL, strict INTEGER NOT NULL, detail TEXT NOT NULL, bound_at TEXT NOT NULL,
            PRIMARY KEY (text_hash, place, role)
        ) WITHOUT ROWID"""
    )
