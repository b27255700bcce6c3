"""The programs in examples/python, run as they would be: the server's own processes, a herd, the number of builds."""

import os
import random
import sqlite3
import subprocess
import sys
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import redis

EXAMPLES = Path(os.environ.get("CORRAL_EXAMPLES", Path(__file__).parents[4] / "examples/python"))


@pytest.fixture
def shop(tmp_path):
    redis.Redis.from_url(os.environ["REDIS_URL"]).flushall()
    environment = os.environ | {
        "SHOP_DATABASE": str(tmp_path / "shop.db"),
        "BEAT_SCHEDULE": str(tmp_path / "beat"),
        "WARM_SECONDS": "1",
        "PYTHONPATH": str(EXAMPLES),
    }
    running = []

    def start(*command):
        log = open(tmp_path / "log", "w+b")
        running.append(
            subprocess.Popen([sys.executable, "-m", *command], cwd=tmp_path, env=environment, stdout=log, stderr=log)
        )
        return running[-1]

    start.log = lambda: (tmp_path / "log").read_text()
    start.built = lambda day="%": (
        sqlite3.connect(tmp_path / "shop.db")
        .execute("SELECT count(*) FROM built WHERE day LIKE ?", (day,))
        .fetchone()[0]
    )
    yield start
    for process in running:
        process.terminate()
    for process in running:
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def becomes(condition, what, deadline=90.0):
    end, why = time.monotonic() + deadline, ""
    while time.monotonic() < end:
        try:
            if result := condition():
                return result
        except (OSError, sqlite3.Error) as error:
            why = str(error)
        time.sleep(0.05)
    raise AssertionError(f"{what()} {why}")


def page(port, path="/report/monday"):
    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
        return answer.read()


@pytest.mark.parametrize(
    "command",
    [
        ("gunicorn", "--workers", "4", "--threads", "8", "--bind", "127.0.0.1:{port}", "flask_page:app"),
        ("uvicorn", "--workers", "4", "--port", "{port}", "fastapi_page:app"),
    ],
    ids=["flask", "fastapi"],
)
def test_a_hundred_visitors_of_four_processes_cost_one_query(shop, command):
    port = random.randrange(12000, 32000)
    shop(*(word.format(port=port) for word in command))
    # Which of the four answers is the kernel's choice; a page of its own says only that one is up.
    becomes(lambda: page(port, "/report/tuesday"), shop.log)
    began = time.monotonic()
    with ThreadPoolExecutor(100) as visitors:
        pages = set(visitors.map(lambda _: page(port), range(100)))
    took = time.monotonic() - began
    assert len(pages) == 1 and b"10000" in pages.pop()
    # The page is fresh for 5 s. On a machine so busy that the hundred take longer, it is due for one query more.
    assert 1 <= shop.built("monday") <= 1 + took // 5, f"after {took:.1f} s\n{shop.log()}"


def test_celery_beat_keeps_a_report_warm(shop):
    shop("celery", "-A", "warm_up", "worker", "--beat", "--pool", "solo", "--concurrency", "1")
    becomes(lambda: shop.built() >= 3, shop.log)
    state, value, _ = redis.Redis.from_url(os.environ["REDIS_URL"]).execute_command("CACHE.GET", "warm:report:monday")
    assert state == b"HIT" and b"10000" in value
