"""Forked processes store their traces however they end, and never those of their parent."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

import prompt_registry_plugin as pr
from tests.conftest import ROOT
from tests.waiting import HANG

pytestmark = pytest.mark.process

PROGRAM = """
import json, os, signal, sys, threading, time, warnings
warnings.simplefilter("ignore", DeprecationWarning)  # forking beside threads is the point
signal.alarm(300)

def fork(work):
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(0)

def wait(pids):
    assert not any(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids)

def job(name):
    import prompt_registry_plugin as pr
    with pr.record(str(name)):
        pr.load_prompt("plan").format()
"""


def run(code: str) -> None:
    """Run a program of forks, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM + code],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert (done.returncode, done.stderr) == (0, "")


def stored() -> dict[str, list[int]]:
    """The stored traces: for each name, the number of spans of each trace with it."""
    found: dict[str, list[int]] = {}
    for trace in pr.search_traces(max_results=500):
        found.setdefault(trace.name, []).append(len(trace.spans))
    return found


@pytest.fixture(autouse=True)
def plan(registry: pr.PromptRegistry) -> None:
    registry.register_prompt("plan", "stored")


def test_each_job_of_a_queue_is_a_trace() -> None:
    """A worker that has recorded before forks twenty children, one after the other; each ends with `os._exit`."""
    run("import prompt_registry_plugin as pr\njob('worker')\nfor i in range(20): wait([fork(lambda: job(i))])\n")
    assert stored() == {"worker": [1], **{str(i): [1] for i in range(20)}}


def test_a_job_that_imports_the_package_itself_is_a_trace() -> None:
    """As in a worker that imports the function of a job in the child: nothing tells the child that it was forked."""
    run("wait([fork(lambda: job(i)) for i in range(3)])\nassert 'prompt_registry_plugin' not in sys.modules\n")
    assert stored() == {str(i): [1] for i in range(3)}


def test_children_of_a_busy_process_store_their_traces() -> None:
    """Forked while other threads record, and the writer stores: no child hangs on a lock of theirs, and nothing is stored twice."""
    run("""
import prompt_registry_plugin as pr
job("first")  # Python itself hangs in a child that was forked while another thread imported what it needs
stop = threading.Event()
def busy(number):
    count = 0
    while not stop.is_set() and count < 40:
        job(f"busy {number}")
        count += 1
threads = [threading.Thread(target=busy, args=(number,)) for number in range(3)]
for thread in threads: thread.start()
for i in range(20): wait([fork(lambda: job(i))])
stop.set()
for thread in threads: thread.join()
""")
    found = stored()
    assert {name: spans for name, spans in found.items() if not name.startswith("busy")} == {
        "first": [1],
        **{str(i): [1] for i in range(20)},
    }


def test_a_fork_in_the_middle_of_a_recording_leaves_it_to_the_parent() -> None:
    """The parent's trace is stored once, with what the parent did. What a child does in the block is a trace of its own."""
    run("""
import prompt_registry_plugin as pr
def leave_in_block(): pr.load_prompt("plan").format()
def do_nothing(): pass
with pr.record("parent") as trace:
    pr.load_prompt("plan").format()
    wait([fork(leave_in_block), fork(do_nothing), fork(lambda: job("child's own"))])
    pid = os.fork()
    pr.load_prompt("plan").format()
    if not pid: pr.load_prompt("plan").format()
if not pid: os._exit(0)
wait([pid])
""")
    found = stored()
    assert found.pop("child's own") == [1]
    assert found.keys() == {"parent"}
    assert sorted(found["parent"]) == [1, 2, 2], "the child that left in the block, the parent, and the child that left the block"


def test_os_exit_in_a_block_stores_what_there_is() -> None:
    """In any process that records; one that hangs in its store is not waited for."""
    run("import prompt_registry_plugin as pr\nwith pr.record('cut'):\n pr.load_prompt('plan').format()\n os._exit(0)\n")
    assert stored() == {"cut": [1]}


def test_a_store_that_hangs_does_not_keep_a_process() -> None:
    """It leaves with its own status after the patience is over, and says that traces may be lost."""
    code = (
        PROGRAM
        + """
import prompt_registry_plugin as pr
from prompt_registry_plugin.recording import leaving
leaving._PATIENCE = 0.1
class Stuck:
    def store_all(self): time.sleep(300)
stuck = Stuck()
job("stored")
leaving.store_before_exit(stuck)
os._exit(7)
"""
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True
    )
    assert done.returncode == 7
    assert "ended with os._exit before its traces were stored" in done.stderr


def test_without_recordings_nothing_is_replaced() -> None:
    """Importing the package, or loading a prompt, leaves `os._exit` as it is."""
    run("own = os._exit\nimport prompt_registry_plugin as pr\npr.load_prompt('plan').format()\nassert os._exit is own\n")


def record(name: str) -> None:
    """What a process of `multiprocessing` runs."""
    with pr.record(name):
        pr.load_prompt("plan").format()


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_processes_of_multiprocessing_store_theirs(method: str) -> None:
    """Started in the middle of a recording, too."""
    run(f"""
import multiprocessing
import prompt_registry_plugin as pr
from tests.test_forks import record
context = multiprocessing.get_context({method!r})
with pr.record("parent"):
    pr.load_prompt("plan").format()
    processes = [context.Process(target=record, args=(str(i),)) for i in range(2)]
    for process in processes: process.start()
    for process in processes: process.join()
""")
    assert stored() == {"parent": [1], "0": [1], "1": [1]}
