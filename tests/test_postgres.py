"""A shared registry whose server goes away and comes back: a real PostgreSQL behind a proxy that can be cut."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import prompt_registry_plugin as pr
from tests.conftest import ROOT
from tests.proxy import Proxy
from tests.stores import POSTGRES, postgres_url
from tests.waiting import HANG, until


@pytest.fixture
def direct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The URL of an empty registry."""
    monkeypatch.setenv("PROMPT_REGISTRY_CACHE", str(tmp_path / "cache"))
    with postgres_url() as url:
        yield url


@pytest.fixture
def proxy(direct: str) -> Iterator[Proxy]:
    """What stands between `through` and the server."""
    server = urlsplit(POSTGRES)
    proxy = Proxy(server.hostname or "127.0.0.1", server.port or 5432)
    yield proxy
    proxy.close()


@pytest.fixture
def through(direct: str, proxy: Proxy) -> str:
    """The same registry through the proxy."""
    return re.sub(r"@[^/]+/", f"@127.0.0.1:{proxy.port}/", direct)


def connections_asked_for(registry: pr.PromptRegistry) -> int:
    """How often queries of a registry have asked for a connection."""
    return registry.store.database._pool.get_stats().get("requests_num", 0)  # type: ignore[attr-defined, no-any-return]


def fails_without_asking(registry: pr.PromptRegistry, call: Callable[[], object]) -> bool:
    """Whether a call that fails does so because the server is known to be away, rather than after asking it."""
    before = connections_asked_for(registry)
    with pytest.raises(pr.errors.StoreUnavailable):
        call()
    return connections_asked_for(registry) == before


def seconds_waited_for(registry: pr.PromptRegistry, monkeypatch: pytest.MonkeyPatch) -> list[float | None]:
    """For how many seconds each query from here on is ready to wait for the server's first answer."""
    settled = registry.store.database._settled  # type: ignore[attr-defined]
    wait = settled.wait
    asked: list[float | None] = []

    def note_wait(timeout: float | None = None) -> bool:
        asked.append(timeout)
        return wait(timeout)

    monkeypatch.setattr(settled, "wait", note_wait)
    return asked


def test_a_lost_server_is_stood_in_for_and_found_again(direct: str, through: str, proxy: Proxy) -> None:
    """What was loaded is served from the copy, and the trace says so; new things fail at once; no restart is needed after."""
    with pr.open_registry(direct) as writer, pr.open_registry(through + "&timeout=2") as agent:
        writer.register_prompt("p", "one")
        writer.set_prompt_alias("p", "production", 1)
        writer.register_prompt("never-loaded", "x")
        until(lambda: agent.load_prompt("prompts:/p@production", fallback="not yet").served_from == "registry")
        proxy.set("refuse")
        until(lambda: agent.load_prompt("prompts:/p@production").served_from == "last_good")
        with agent.record() as trace:
            assert agent.load_prompt("prompts:/p@production").format() == "one"
        assert [span.attributes["served_from"] for span in trace.spans] == ["last_good"]
        until(lambda: fails_without_asking(agent, lambda: agent.load_prompt("never-loaded")))
        assert fails_without_asking(agent, lambda: agent.register_prompt("p", "lost"))
        writer.set_prompt_alias("p", "production", writer.register_prompt("p", "two").version)
        proxy.set("forward")
        until(lambda: agent.load_prompt("prompts:/p@production").served_from == "registry")
        assert agent.load_prompt("prompts:/p@production").template == "two", "moved while the server could not be heard"
        assert agent.register_prompt("p", "three").version == 3


def test_the_copy_serves_a_process_that_starts_without_a_server(through: str, proxy: Proxy) -> None:
    """Adopted texts included."""
    with pr.open_registry(through) as first:
        first.register_prompt("p", "one")
        first.set_prompt_alias("p", "production", 1)
        first.store.prompts.bind("hash", "p", "production")
        first.load_prompt("prompts:/p@production")
        assert first.has_adopted
    proxy.set("refuse")
    with pr.open_registry(through) as second:
        assert second.load_prompt("prompts:/p@production").served_from == "last_good"
        served = second.serve("hash")
        assert served is not None
        assert served.template == "one"


@pytest.mark.parametrize("mode", ["refuse", "silent"])
def test_a_cold_start_without_a_server(through: str, proxy: Proxy, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With a fallback half a second is waited, and it is marked; without one the load fails within the time-out."""
    proxy.set(mode)  # type: ignore[arg-type]
    with pr.open_registry(through + "&timeout=1") as registry:
        waited = seconds_waited_for(registry, monkeypatch)
        prompt = registry.load_prompt("prompts:/p@production", fallback="Hi {{name}}")
        assert set(waited) == {0.5}
        assert (prompt.version, prompt.served_from, prompt.format(name="Ann")) == (0, "fallback", "Hi Ann")
        with registry.record() as trace:
            prompt.format(name="Ann")
        assert trace.spans[0].attributes["served_from"] == "fallback"
        proxy.set("refuse")  # which ends attempts to connect
    proxy.set(mode)  # type: ignore[arg-type]
    with pr.open_registry(through + "&timeout=1") as registry:
        waited = seconds_waited_for(registry, monkeypatch)
        with pytest.raises(pr.errors.StoreUnavailable):
            registry.load_prompt("prompts:/p@production")
        assert set(waited) == {1.0}
        proxy.set("refuse")


def test_a_server_that_falls_silent_is_given_up(direct: str, through: str, proxy: Proxy) -> None:
    """A load that waits for its answer fails, later ones do not ask; it is found again."""
    with pr.open_registry(direct) as writer, pr.open_registry(through + "&timeout=0.5") as registry:
        writer.register_prompt("p", "one")
        until(lambda: registry.load_prompt("p", fallback="not yet").served_from == "registry")
        proxy.set("silent")
        with pytest.raises(pr.errors.StoreUnavailable):
            registry.load_prompt("q")
        until(lambda: registry.load_prompt("p").served_from == "last_good")
        until(lambda: fails_without_asking(registry, lambda: registry.load_prompt("q")))
        proxy.set("forward")
        until(lambda: registry.load_prompt("p").served_from == "registry")


def test_reads_and_writes_go_on_when_all_connections_were_cut(direct: str) -> None:
    """As a restart of the server does it. Each dead connection of the pool is passed over at once: the first call after the listener
    is back succeeds, and asks for one connection more than there were dead ones at most."""
    import psycopg

    with pr.open_registry(re.sub(r"timeout=\d+", "timeout=10", direct) + "&application_name=cut") as registry:
        registry.register_prompt("p", "one")
        database: Any = registry.store.database  # type: ignore[attr-defined]
        for number, call in enumerate(
            [lambda: registry.register_prompt("p", "two").version, lambda: len(registry.store.prompts.versions("p"))]
        ):
            with contextlib.ExitStack() as opened:
                for _ in range(8):
                    opened.enter_context(database.write())
            connected = database._stamp.connections
            with psycopg.connect(POSTGRES, autocommit=True) as admin:
                ended = admin.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut'"
                ).fetchall()
            assert len(ended) >= 9, number
            until(lambda before=connected: database._stamp.connections > before)  # type: ignore[misc]
            asked = connections_asked_for(registry)
            assert call() == 2
            assert connections_asked_for(registry) - asked <= 10


def test_a_cached_load_does_no_io(through: str, proxy: Proxy) -> None:
    """Thousands of loads send nothing to the server."""
    with pr.open_registry(through) as registry:
        registry.register_prompt("p", "one")
        registry.load_prompt("p")
        asked, packets = connections_asked_for(registry), proxy.requests
        for _ in range(5000):
            registry.load_prompt("p")
        assert connections_asked_for(registry) == asked
        assert proxy.requests - packets < 500, "heartbeats, one in three seconds"


def test_a_moved_alias_reaches_another_process(direct: str) -> None:
    """The server tells it, through LISTEN/NOTIFY: the other process, which never looks by itself, sees the move."""
    code = (
        "import sys, time, prompt_registry_plugin as pr\n"
        "from prompt_registry_plugin.store.postgres import connection\n"
        "connection._HEARTBEAT = float('inf')\n"
        "with pr.open_registry(sys.argv[1]) as registry:\n"
        "    registry.load_prompt('prompts:/p@production'); print('ready', flush=True)\n"
        "    while registry.load_prompt('prompts:/p@production').version == 1: time.sleep(0.001)\n"
        "    print('seen', flush=True)\n"
    )
    with pr.open_registry(direct) as registry:
        registry.register_prompt("p", "one")
        registry.register_prompt("p", "two")
        registry.set_prompt_alias("p", "production", 1)
        with subprocess.Popen(
            [sys.executable, "-c", code, direct], stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "ready\n"
            registry.set_prompt_alias("p", "production", 2)
            assert other.communicate(timeout=HANG)[0] == "seen\n"


def test_a_fork_gets_connections_of_its_own(direct: str) -> None:
    """The child reads and writes, hears of changes, and leaves the parent's connections alone."""
    import warnings

    with pr.open_registry(direct) as registry:
        registry.register_prompt("p", "parent")
        registry.load_prompt("p")
        loaded, tell = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the point
            pid = os.fork()
        if pid == 0:
            status = 1
            try:
                status = 0 if registry.load_prompt("p").template == "parent" else 2
                os.write(tell, b"!")
                until(lambda: registry.load_prompt("p").template == "moved")
                registry.register_prompt("p", "child")
            finally:
                os._exit(status)
        os.close(tell)
        os.read(loaded, 1)
        os.close(loaded)
        registry.register_prompt("p", "moved")
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
        until(lambda: registry.load_prompt("p").template == "child")
        assert registry.register_prompt("p", "parent again").version == 4


def test_an_old_copy_never_passes_for_what_the_server_says(direct: str) -> None:
    """A read that failed while the server was well is served from the copy, and forgotten as soon as the listener has looked."""
    with pr.open_registry(direct + "&timeout=0.3") as agent, pr.open_registry(direct) as writer:
        writer.register_prompt("p", "one")
        until(lambda: agent.load_prompt("p", fallback="not yet").version == 1)
        pool = agent.store.database._pool  # type: ignore[attr-defined]
        taken = [pool.getconn(HANG) for _ in range(10)]
        writer.register_prompt("p", "two")
        until(lambda: agent.load_prompt("p").served_from == "last_good")
        for connection in taken:
            pool.putconn(connection)
        until(lambda: (agent.load_prompt("p").version, agent.load_prompt("p").served_from) == (2, "registry"))


@pytest.mark.parametrize("reference", ["prompts:/p/production", "prompts:/p@production", "prompts:/p/1", "p"])
def test_the_copy_knows_every_form_of_a_reference(through: str, proxy: Proxy, reference: str) -> None:
    """Also the one whose first reading is a prompt that does not exist."""
    with pr.open_registry(through + "&timeout=5") as agent:
        agent.register_prompt("p", "one")
        agent.set_prompt_alias("p", "production", 1)
        agent.load_prompt(reference)
        proxy.set("refuse")
        until(lambda: agent.load_prompt(reference).served_from == "last_good")


def test_copies_of_different_servers_are_kept_apart() -> None:
    """However the server is named."""
    from prompt_registry_plugin.store.postgres.address import parse_url

    urls = ["postgresql://u@/db?host=/sql/staging", "postgresql://u@/db?host=/sql/prod", "postgresql://u@a/db", "postgresql://u@b/db",
            "postgresql://u@a/db?schema=x", "postgresql://u@a:5433/db"]  # fmt: skip
    assert len({parse_url(url).copy for url in urls}) == len(urls)
    assert parse_url("postgresql://u:one@a/db").copy == parse_url("postgresql://u:two@a/db").copy


@pytest.mark.parametrize(
    "url",
    ["postgresql://:hunter2x@h/db", "postgresql://u:hunter2@x@h/db", "postgresql://u:hun/ter2x@h/db", "postgresql://u@h/db?password=hunter2x",
     "postgresql://u@h/db?sslpassword=x1"],
)  # fmt: skip
def test_no_form_of_a_password_is_shown(url: str) -> None:
    """In the name of a registry, from which all messages are made."""
    from prompt_registry_plugin.masking import mask_url

    shown = mask_url(url)
    assert "***" in shown
    assert not any(part in shown for part in ("hunter", "ter2x", "x1", "x@"))


def test_libpq_gets_its_parameters_as_they_are_written() -> None:
    """Spaces, several hosts, options of its own."""
    from psycopg.conninfo import conninfo_to_dict

    from prompt_registry_plugin.store.postgres.address import parse_url

    address = parse_url("postgresql://u@h1:5432,h2:5433/db?password=a%20b&schema=s&options=-c%20x%3D1&connect_timeout=7")
    known = conninfo_to_dict(address.conninfo)
    assert (known["password"], known["host"], known["port"]) == ("a b", "h1,h2", "5432,5433")
    assert (address.options, "connect_timeout" in address.defaults) == ("-c x=1", False)


def test_a_role_that_may_only_read_can_load(direct: str) -> None:
    """It needs no right to create anything once the tables are there."""
    import psycopg

    with pr.open_registry(direct) as registry:
        registry.register_prompt("p", "x")
        schema = registry.store.database._address.schema  # type: ignore[attr-defined]
    role = f"reader_{schema}"
    with psycopg.connect(POSTGRES, autocommit=True) as admin:
        admin.execute(f"CREATE ROLE {role} LOGIN")
        try:
            admin.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
            admin.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {role}")
            with pr.open_registry(re.sub(r"//[^@]*@", f"//{role}@", direct)) as reader:
                assert reader.load_prompt("p").template == "x"
                with pytest.raises(pr.errors.StoreUnavailable, match="permission denied"):
                    reader.register_prompt("p", "y")
        finally:
            admin.execute(f"DROP OWNED BY {role}")
            admin.execute(f"DROP ROLE {role}")


def test_closing_leaves_no_threads(direct: str) -> None:
    """Also when it comes before the first connection."""
    import threading

    with pr.open_registry(direct) as registry:
        registry.register_prompt("p", "x")
    before = threading.active_count()
    for _ in range(5):
        pr.open_registry(direct).close()
    until(lambda: threading.active_count() <= before)


def test_a_newer_schema_that_comes_later_is_an_outage(direct: str) -> None:
    """A rolling upgrade: who was connected goes on with its copy and its fallbacks."""
    import psycopg

    name = f"agent-{secrets.token_hex(6)}"
    with pr.open_registry(f"{direct}&application_name={name}") as agent:
        agent.register_prompt("p", "x")
        agent.load_prompt("p")
        schema = agent.store.database._address.schema  # type: ignore[attr-defined]
        with psycopg.connect(POSTGRES, autocommit=True) as admin:
            admin.execute(f"INSERT INTO {schema}.schema_migrations (name) VALUES ('p999_future')")
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s", (name,))
        until(lambda: agent.load_prompt("p").served_from == "last_good")
        assert agent.load_prompt("q", fallback="F").served_from == "fallback"


def test_a_password_is_never_shown(through: str, proxy: Proxy, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in errors nor in the log, nor in the name of the registry."""
    secret = through.replace("://postgres@", "://postgres:hunter2-secret@")
    proxy.set("refuse")
    with pr.open_registry(secret) as registry:
        with pytest.raises(pr.errors.StoreUnavailable) as error:
            registry.load_prompt("p")
        shown = f"{error.value}{registry!r}{caplog.text}"
    assert "postgres:***@" in shown
    assert "hunter2" not in shown


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql://h:notaport/db", "cannot read registry URL"),
        ("postgresql://h/db?schema=Bad-Name", "schema"),
        ("postgresql://h/db?timeout=soon", "timeout"),
        ("postgresql://h/db?timout=3", "timout"),
        ("postgresql://u:p@hunter2@h/db", r"u:\*\*\*@h/db.*is written %40"),
    ],
)
def test_urls_that_cannot_be_read(url: str, reason: str) -> None:
    """Each says what is wrong with it."""
    with pytest.raises(pr.errors.InvalidStore, match=reason):
        pr.open_registry(url)


def test_a_database_that_was_never_there_is_a_mistake(direct: str) -> None:
    """Rather than an outage that a fallback hides."""
    url = re.sub(r"/test\?", "/no_such_database?", direct)
    with pr.open_registry(url) as registry, pytest.raises(pr.errors.InvalidStore, match="no_such_database"):
        registry.load_prompt("p", fallback="x")


def test_looking_never_makes_a_schema(direct: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A mistyped schema is told, not shown as an empty registry."""
    from prompt_registry_plugin.cli import main

    with pytest.raises(SystemExit) as exit_:
        main(["list", "--registry", direct])
    assert exit_.value.code == 2
    assert "there is no registry at postgresql://" in capsys.readouterr().err
    with pr.open_registry(direct) as registry:
        registry.register_prompt("p", "x")
    with pytest.raises(SystemExit) as exit_:
        main(["list", "--registry", direct])
    assert exit_.value.code == 0


def test_a_database_of_a_newer_version_is_refused(direct: str) -> None:
    """Rather than misread; it is the user's to upgrade, so no copy or fallback hides it."""
    import psycopg

    with pr.open_registry(direct) as registry:
        registry.register_prompt("p", "x")
        schema = registry.store.database._address.schema  # type: ignore[attr-defined]
    with psycopg.connect(POSTGRES, autocommit=True) as connection:
        connection.execute(f"INSERT INTO {schema}.schema_migrations (name) VALUES ('p999_future')")
    with pr.open_registry(direct) as registry, pytest.raises(pr.errors.InvalidStore, match=r"newer version.*p999_future"):
        registry.load_prompt("p", fallback="x")
