"""A server is known by its answers, and nothing of it is left when it is stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from bench.dialects import V2
from bench.peers.catalog import LIMIT, PEERS, Command, Launch, Peer
from bench.proc import cpu_seconds, members, resident_mib
from bench.questions import Model, Question
from bench.servers import BenchError, running

PROGRAMS = Path(sys.executable).parent
CORE = min(os.sched_getaffinity(0))
MODEL = Model("none", Path("/none"), [], [Question([[1.0]], [0])], [])

# Starts the server as a child that is in a session of its own, and hands over nothing.
PARENT = """
import subprocess, sys
subprocess.Popen(sys.argv[1:], start_new_session=True).wait()
"""


def _other(name: str) -> Peer:
    """A server that is not the limit, so that its answers must be the model's."""
    return replace(PEERS[LIMIT], name=name)


def test_what_was_started_is_gone_at_the_end() -> None:
    with running(PEERS[LIMIT], PROGRAMS, MODEL, V2, CORE) as server:
        assert 0 < server.start_seconds < 60
        assert server.exchange(V2, MODEL.single[0]).body == V2.encode([[1.0]])
        assert members(server.pid) == {server.pid}
        assert resident_mib(server.pid) > 5
        assert cpu_seconds(server.pid) > 0
    assert members(server.pid) == set()


def test_children_in_sessions_of_their_own_are_gone_as_well() -> None:
    def launch(where: Launch) -> Command:
        command = PEERS[LIMIT].launch(where)
        return Command([sys.executable, "-c", PARENT, *command.arguments], command.environ)

    with running(replace(PEERS[LIMIT], launch=launch), PROGRAMS, MODEL, V2, CORE) as server:
        everyone = members(server.pid)
        assert len(everyone) == 2
    assert not [pid for pid in everyone if Path(f"/proc/{pid}").exists()]


def test_an_answer_other_than_the_models_is_refused() -> None:
    wrong = Question([[1.0]], [1])
    with (
        running(_other("wrong"), PROGRAMS, MODEL, V2, CORE) as server,
        pytest.raises(BenchError, match="other numbers"),
    ):
        server.exchange(V2, wrong)


def test_a_server_that_does_not_start_is_told_with_what_it_said() -> None:
    def launch(_: Launch) -> Command:
        return Command([sys.executable, "-c", "import sys; sys.exit('out of order')"])

    peer = replace(PEERS[LIMIT], launch=launch)
    with (
        pytest.raises(BenchError, match="out of order"),
        running(peer, PROGRAMS, MODEL, V2, CORE),
    ):
        pass


def test_an_interrupted_run_leaves_no_process() -> None:
    script = (
        "import signal, sys; sys.path.insert(0, '.')\n"
        "signal.signal(signal.SIGTERM, lambda *_: sys.exit(7))\n"
        "from tests.unit.bench import test_servers as t\n"
        "with t.running(t.PEERS[t.LIMIT], t.PROGRAMS, t.MODEL, t.V2, t.CORE) as server:\n"
        "    print(server.pid, flush=True)\n"
        "    signal.pause()\n"
    )
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, text=True, cwd=root
    ) as run:
        assert run.stdout is not None
        pid = int(run.stdout.readline())
        run.send_signal(signal.SIGTERM)
        assert run.wait(30) == 7
    assert members(pid) == set()
