"""The SQLite file: shared by processes, never half-written, and never mistaken for another program's."""

from __future__ import annotations

import os
import signal
import sqlite3
from pathlib import Path

import pytest

import prompt_registry_plugin as pr
from prompt_registry_plugin.store.sqlite.migrations import migrations
from tests.conftest import run_python


def test_a_full_disk_fails_clearly_and_writes_nothing(registry: pr.PromptRegistry) -> None:
    """SQLite's own page limit stands in for a full disk; what was there stays readable."""
    pr.register_prompt("p", "small")
    connection = registry.store.database._current_writer()  # type: ignore[attr-defined]
    pages = connection.execute("PRAGMA page_count").fetchone()[0]
    connection.execute(f"PRAGMA max_page_count = {pages + 1}")
    with pytest.raises(pr.errors.StoreUnavailable, match="free some space"):
        pr.register_prompt("p", "x" * 100_000)
    assert pr.load_prompt("p").template == "small"
    connection.execute("PRAGMA max_page_count = 1000000")
    assert pr.register_prompt("p", "y" * 100_000).version == 2


def test_a_file_of_another_program_is_refused(tmp_path: Path) -> None:
    """And not touched."""
    path = tmp_path / "foreign.db"
    with sqlite3.connect(path) as raw:
        raw.execute("CREATE TABLE t (x)")
    raw.close()
    before = path.read_bytes()
    with pytest.raises(pr.errors.InvalidStore, match="another program"):
        pr.open_registry(f"sqlite:///{path}")
    assert path.read_bytes() == before
    (tmp_path / "text.db").write_text("this is no database, but it is long enough to look at" * 20)
    with pytest.raises(pr.errors.InvalidStore, match="not a SQLite database"):
        pr.open_registry(f"sqlite:///{tmp_path / 'text.db'}")


def test_a_file_of_a_newer_version_is_refused(registry: pr.PromptRegistry, tmp_path: Path) -> None:
    """Rather than misread."""
    with sqlite3.connect(tmp_path / "prompts.db") as raw:
        raw.execute(
            "INSERT INTO _sqlite_migrations (migration_set, name, applied_at) VALUES ('prompt_registry_plugin', 'm999_future', '')"
        )
    raw.close()
    with pytest.raises(pr.errors.InvalidStore, match=r"newer version.*m999_future"):
        pr.open_registry(registry.url)


@pytest.mark.parametrize("applied", range(1, 4))  # words came with the fourth
def test_older_files_are_brought_up_to_date_with_their_rows(tmp_path: Path, applied: int) -> None:
    """A file of every earlier schema, with rows in it, opens, keeps them, finds them by words and takes new ones."""
    import sqlite_utils

    path = tmp_path / "old.db"
    db = sqlite_utils.Database(path)
    names = [migration.name for migration in migrations._migrations]
    migrations.apply(db, stop_before=names[applied])
    for name in ("old", "other"):
        db.execute("INSERT INTO prompts (name, created_at) VALUES (?, '2026-01-01T00:00:00.000000+00:00')", (name,))
    text = pr.PromptVersion("old", 2, "kept words")
    for name, version, template, content_hash in (
        ("old", 1, '"first"', "h"),
        ("old", 2, '"kept words"', text.content_hash),
        ("other", 1, '[{"role": "user", "content": "Grüße {{x}}"}]', "h"),
    ):
        db.execute(
            "INSERT INTO prompt_versions (name, version, template, template_format, content_hash, created_at, created_by) "
            "VALUES (?, ?, ?, 'double_brace', ?, '2026-01-01T00:00:00.000000+00:00', 'somebody')",
            (name, version, template, content_hash),
        )
    db.execute("INSERT INTO version_tags VALUES ('old', 2, 'team', 'care')")
    db.execute("INSERT INTO prompt_aliases VALUES ('old', 'production', 1)")
    db.execute(
        "INSERT INTO alias_moves (name, alias, to_version, moved_at, moved_by, rollback) "
        "VALUES ('old', 'production', 1, '2026-01-01T00:00:00+00:00', 'somebody', 0)"
    )
    db.conn.commit()
    db.close()
    with pytest.raises(pr.errors.InvalidStore, match="older schema"):
        pr.open_registry(f"sqlite:///{path}?mode=ro")
    with pr.open_registry(f"sqlite:///{path}") as registry:
        assert registry.load_prompt("prompts:/old@production").template == "first"
        assert [p.name for p in registry.search_prompts("text MATCH 'grüße'")] == ["other"]
        assert [p.name for p in registry.search_prompts("tags.team = 'care' AND text MATCH 'kept'")] == ["old"]
        assert registry.register_prompt("old", "kept words").version == 2, "its hash is what it was"
        assert registry.register_prompt("old", "new").version == 3
        assert len(registry.prompt_history("old")) == 4
        registry.register_prompt("third", "x")
        assert [p.name for p in registry.search_prompts("text MATCH 'x'")] == ["other", "third"]
        with registry.record() as trace:
            registry.load_prompt("old").format()
        assert registry.store.traces.get(trace.id)
        assert registry.store.runs.newest() == []


def test_a_read_only_registry_serves_reads(registry: pr.PromptRegistry) -> None:
    """And says why it does not write."""
    pr.register_prompt("p", "x")
    with pr.open_registry(registry.url + "?mode=ro") as reader:
        assert reader.load_prompt("p").template == "x"
        with pytest.raises(pr.errors.StoreUnavailable, match="read-only"):
            reader.register_prompt("p", "y")
        with reader.record():  # a trace that cannot be stored does not break the agent
            reader.load_prompt("p").format()


def test_a_file_without_write_permission_serves_reads(tmp_path: Path) -> None:
    """As another user would see it; root may write everywhere, so the process gives its rights up first."""
    code = """
import os, sys
import prompt_registry_plugin as pr
with pr.open_registry(sys.argv[1] + ".warm") as warm:  # imports everything while the interpreter's files can be read
    warm.register_prompt("p", "x").format()
if os.getuid() == 0:
    os.setgid(65534); os.setuid(65534)
with pr.open_registry(sys.argv[1]) as registry:
    print(registry.load_prompt("p").template)
    try:
        registry.register_prompt("p", "y")
    except pr.errors.StoreUnavailable as error:
        print("refused:", error)
"""
    with pr.open_registry(f"sqlite:///{tmp_path / 'given.db'}") as registry:
        registry.register_prompt("p", "x")
    for parent in [tmp_path, *tmp_path.parents]:
        if parent.stat().st_uid == os.getuid() and parent != Path("/") and parent != Path("/tmp"):
            parent.chmod(0o755)
    (tmp_path / "given.db").chmod(0o444)
    done = run_python(code.replace("sys.argv[1]", repr(f"sqlite:///{tmp_path / 'given.db'}")))
    assert done.stdout.splitlines()[0] == "x", done.stderr
    assert "read-only" in done.stdout.splitlines()[1]


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://x", "no installed plugin opens"),
        ("sqlite://x", "cannot read registry URL"),
        ("sqlite:///", "cannot read registry URL"),
        ("sqlite:///no/such/folder/x.db", "no folder"),
        ("sqlite:////tmp", "names a folder"),
        ("sqlite:///x.db?mode=w", "mode"),
    ],
)
def test_urls_that_cannot_be_opened(url: str, reason: str) -> None:
    """Each says what is wrong with it."""
    with pytest.raises(pr.errors.InvalidStore, match=reason):
        pr.open_registry(url)


def test_a_closed_registry_says_so(registry: pr.PromptRegistry) -> None:
    """Instead of failing somewhere inside."""
    other = pr.open_registry(registry.url)
    other.close()
    other.close()
    with pytest.raises(pr.errors.StoreUnavailable, match="was closed"):
        other.load_prompt("p")


def test_a_fork_gets_a_connection_of_its_own(registry: pr.PromptRegistry) -> None:
    """SQLite connections must not cross a fork; the child's write is whole and the parent goes on."""
    import warnings

    pr.register_prompt("p", "parent")
    pr.set_prompt_alias("p", "production", 1)
    assert pr.load_prompt("prompts:/p@production").version == 1, "cached before the fork"
    moved, tell = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads: the test's point is ours, not theirs
        pid = os.fork()
    if pid == 0:
        status = 1
        try:
            os.read(moved, 1)  # the parent moves the alias meanwhile: the inherited cache must not hide that
            status = 0 if registry.load_prompt("prompts:/p@production").template == "moved" else 2
            registry.register_prompt("p", "child")
        finally:
            os._exit(status)
    pr.set_prompt_alias("p", "production", pr.register_prompt("p", "moved").version)
    os.write(tell, b"!")
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    os.close(moved), os.close(tell)
    assert pr.load_prompt("p").template == "child"
    assert pr.register_prompt("p", "parent again").version == 4


def test_children_of_a_busy_process_never_hang(registry: pr.PromptRegistry) -> None:
    """Forked while other threads hold locks and fetch: each child loads and writes."""
    import threading
    import warnings

    pr.register_prompt("p", "x")
    stop = threading.Event()

    def load() -> None:
        while not stop.is_set():
            registry.load_prompt("p")
            registry.load_prompt("p", 1)

    def write() -> None:
        i = 0
        while not stop.is_set():
            registry.set_prompt_tag("p", "i", str(i := i + 1))

    threads = [threading.Thread(target=target) for target in (load, load, write)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(5):
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", DeprecationWarning)
                pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    signal.alarm(300)
                    status = 0 if registry.load_prompt("p").template == "x" else 2
                    registry.register_prompt("child", "y")
                finally:
                    os._exit(status)
            assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def test_a_reader_without_rights_sees_what_the_owner_writes_later(tmp_path: Path) -> None:
    """Opened as a file that never changes, for lack of a better way, and still not stale."""
    from prompt_registry_plugin.store.sqlite.connection import Connection

    url = f"sqlite:///{tmp_path / 'served.db'}"
    with pr.open_registry(url) as owner:
        owner.register_prompt("p", "one")
    with pr.open_registry(url + "?mode=ro") as reader:
        connection: Connection = reader.store.database  # type: ignore[attr-defined]
        connection._current().close()
        connection._reader = connection._connect("mode=ro&immutable=1")
        connection._counter = connection._seen = None
        connection._unchanging = connection._look()
        assert reader.load_prompt("p").template == "one"
        with pr.open_registry(url) as owner:
            owner.register_prompt("p", "two")
        assert reader.load_prompt("p").template == "two"


def test_a_default_registry_that_was_closed_is_opened_again() -> None:
    """By whoever needs it next."""
    with pr.current_registry():
        pr.register_prompt("p", "x")
    assert pr.load_prompt("p").template == "x"


def test_masking_takes_time_in_proportion() -> None:
    """A quarter of a megabyte without a space, as an image is: a pattern that goes back over what it read would take an hour."""
    from prompt_registry_plugin.masking import mask_secrets

    for text in ("a" * 250_000, "token" * 50_000, "x://" * 62_500, 'key="' * 50_000, "-" * 250_000):
        mask_secrets(text)
    masked = mask_secrets(
        "a" * 10_000 + ' api_key=sk-secret-value "password": "hunter two" postgres://u:hunter2@h/db Bearer abcdefghijk'
    )
    assert not any(secret in masked for secret in ("sk-secret", "hunter", "abcdefghijk"))
