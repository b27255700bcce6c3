"""A server with the module for each run; REDIS_URL names another one."""

import os
import random
import shutil
import subprocess
import tempfile
import time

import pytest
import redis


@pytest.fixture(scope="session")
def url():
    if "REDIS_URL" in os.environ:
        yield os.environ["REDIS_URL"]
        return
    directory = tempfile.mkdtemp()
    port = random.randrange(12000, 32000)
    module = os.path.realpath(os.environ.get("CORRAL_MODULE", "target/release/libcorral.so"))
    server = subprocess.Popen(
        [
            os.environ.get("CORRAL_SERVER", "redis-server"),
            "--port",
            str(port),
            "--bind",
            "127.0.0.1",
            "--dir",
            directory,
            "--save",
            "",
            "--loadmodule",
            module,
        ],
        stdout=subprocess.DEVNULL,
    )
    client = redis.Redis(port=port)
    deadline = time.monotonic() + 10
    while True:
        try:
            client.ping()
            break
        except redis.ConnectionError:
            assert time.monotonic() < deadline and server.poll() is None, "the server did not start"
            time.sleep(0.05)
    yield f"redis://127.0.0.1:{port}"
    server.terminate()
    server.wait()
    shutil.rmtree(directory)


@pytest.fixture
def raw(url):
    client = redis.Redis.from_url(url)
    client.flushall()
    return client


def becomes(condition, deadline=10.0):
    end = time.monotonic() + deadline
    while not (result := condition()):
        assert time.monotonic() < end, "did not become so"
        time.sleep(0.01)
    return result
