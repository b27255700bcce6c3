"""Prefork servers, gevent, multiprocessing: objects made before a fork, and greenlets where threads would be."""

import multiprocessing
import os
import subprocess
import sys
import textwrap
import threading
import time

import pytest
from conftest import becomes

import corral


def in_child(cache, key, answers):
    answers.put(cache.get_or_build(key, lambda: os.getpid()))


def test_workers_forked_off_after_the_object_was_used_build_once(url, raw):
    cache = corral.Corral(url, ttl=60)
    cache.get_or_build("of the parent", lambda: 1)
    forking = multiprocessing.get_context("fork")
    answers = forking.Queue()
    workers = [forking.Process(target=in_child, args=(cache, "k", answers)) for _ in range(4)]
    [worker.start() for worker in workers]
    built_by = {answers.get(timeout=20) for _ in workers}
    [worker.join(20) for worker in workers]
    assert len(built_by) == 1 and os.getpid() not in built_by
    assert cache.get_or_build("k", lambda: 0) in built_by


def script(url, text):
    ran = subprocess.run([sys.executable, "-c", textwrap.dedent(text), url], capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.split()


def test_greenlets_build_once_and_a_timed_out_one_hands_over(url, raw):
    assert script(
        url,
        """
        from gevent import monkey; monkey.patch_all()
        import gevent, sys, time
        from corral import Corral
        cache, builds = Corral(sys.argv[1], ttl=60, lease=60), []

        def build():
            builds.append(1)
            time.sleep(0.2)
            return 7

        callers = [gevent.spawn(cache.get_or_build, "k", build) for _ in range(50)]
        print(set(caller.get() for caller in callers), len(builds))

        def give_up():
            with gevent.Timeout(0.2, False):
                cache.get_or_build("slow", lambda: time.sleep(60))

        gevent.spawn(give_up)
        gevent.sleep(0.1)
        with gevent.Timeout(10):
            print(cache.get_or_build("slow", lambda: 8))
    """,
    ) == ["{7}", "1", "8"]


def test_a_greenlet_killed_while_its_renewal_begins_leaves_no_lease(url, raw):
    assert script(
        url,
        """
        from gevent import monkey; monkey.patch_all()
        import gevent, sys, threading
        from corral import Corral
        cache, start = Corral(sys.argv[1], ttl=60, lease=60), threading.Thread.start

        def killed(thread):
            start(thread)
            raise gevent.GreenletExit

        threading.Thread.start = killed
        gevent.spawn(cache.get_or_build, "k", lambda: 1).join()
        with gevent.Timeout(10):
            threading.Thread.start = start
            print(cache.get_or_build("k", lambda: 2))
    """,
    ) == ["2"]


@pytest.mark.parametrize("way", ["return 'child'", "sys.exit()", "raise ValueError"])
def test_a_child_that_comes_back_from_the_build_says_nothing_of_its_parents_lease(url, raw, way):
    assert script(
        url,
        f"""
        import os, sys
        from corral import Corral
        cache, parent = Corral(sys.argv[1], ttl=60), os.getpid()

        def build():
            child = os.fork()
            if child == 0:
                {way}
            os.waitpid(child, 0)
            return "parent"

        try:
            print(cache.get_or_build("k", build))
        except BaseException:
            pass
        if os.getpid() != parent:
            os._exit(0)
        print(cache.get_or_build("k", lambda: "again"))
    """,
    )[-2:] == ["parent", "parent"]


def test_a_process_that_can_start_no_thread_refreshes_and_finds_its_server_when_it_can_again(url, raw):
    cache = corral.Corral(url, ttl=60, swr=60, background_limit=1)
    for key in ("a", "b"):
        cache.get_or_build(key, lambda: "old")
    cache.invalidate("a", "b")
    start = threading.Thread.start
    node = cache._engine().server.topology.at(None)
    try:
        threading.Thread.start = lambda _: (_ for _ in ()).throw(RuntimeError("can't start new thread"))
        assert cache.get_or_build("a", lambda: "new") == "old"
        assert raw.execute_command("CACHE.LEASES") == []
        node.outage.begin(ConnectionError("gone"))
        becomes(lambda: node.outage._again_at < time.monotonic())
        assert cache.get_or_build("without", lambda: 1) == 1
    finally:
        threading.Thread.start = start
    becomes(lambda: cache.get_or_build("found", lambda: 1) and raw.exists("found"))
    assert cache.get_or_build("b", lambda: "new") == "old"
    assert becomes(lambda: cache.get_or_build("b", lambda: "newer") == "new")
    cache.close()


def test_a_process_ends_although_a_refresh_still_runs(url, raw):
    raw.execute_command("CACHE.SET", "k", "1", "PX", 1, "SWR", 60_000)
    assert script(
        url,
        """
        import sys, time
        from corral import Corral
        time.sleep(0.01)
        print(Corral(sys.argv[1]).get_or_build("k", lambda: time.sleep(600)))
    """,
    ) == ["1"]
    assert raw.execute_command("CACHE.GET", "k")[0] == b"STALE"
