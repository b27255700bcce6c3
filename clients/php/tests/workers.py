"""php-fpm with four workers: refreshes after the response, and the example pages under load.

usage: workers.py FPM EXAMPLES AUTOLOAD REDIS_URL [SECONDS]
"""

from __future__ import annotations

import os
import random
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from urllib.parse import quote

FPM, EXAMPLES, AUTOLOAD, URL = sys.argv[1:5]
SECONDS = float(sys.argv[5]) if len(sys.argv) > 5 else 10.0
WORKERS, CALLERS = 4, 16

CONFIGURATION = """
[global]
error_log = {directory}/log
daemonize = no
[www]
listen = {directory}/socket
listen.backlog = 128
pm = static
pm.max_children = {workers}
clear_env = no
catch_workers_output = yes
{user}
"""

# Says that a build runs only when the test lets it end; so what is answered before is answered before.
REFRESH = """<?php
require getenv('CORRAL_AUTOLOAD');
$cache = new Corral\\Corral(getenv('REDIS_URL'), swr: 60);
echo $cache->getOrBuild('k', function () {
    touch(__DIR__ . '/begun');
    for ($end = microtime(true) + 20; !is_file(__DIR__ . '/gate') && microtime(true) < $end; usleep(5000)) { clearstatcache(); }
    return 'new';
});
"""


class Fpm:
    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="corral-fpm-"))
        user = "user = root\ngroup = root" if os.geteuid() == 0 else ""
        self.directory.joinpath("conf").write_text(
            CONFIGURATION.format(directory=self.directory, workers=WORKERS, user=user)
        )
        environment = os.environ | {
            "CORRAL_AUTOLOAD": AUTOLOAD,
            "REDIS_URL": URL,
            "SHOP": str(self.directory / "shop.sqlite"),
        }
        root = ["-R"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([FPM, *root, "-F", "-y", self.directory / "conf"], env=environment)
        until("php-fpm listens", self.directory.joinpath("socket").exists)

    def get(self, script: Path, query: str = "") -> tuple[int, str]:
        """One FastCGI request, over a connection of its own."""
        parameters = {
            "SCRIPT_FILENAME": str(script),
            "REQUEST_METHOD": "GET",
            "QUERY_STRING": query,
            "REQUEST_URI": f"/?{query}",
            "SERVER_PROTOCOL": "HTTP/1.1",
            "GATEWAY_INTERFACE": "CGI/1.1",
        }
        pairs = b"".join(_length(n) + _length(v) + n.encode() + v.encode() for n, v in parameters.items())
        request = _record(1, struct.pack(">HB5x", 1, 0)) + _record(4, pairs) + _record(4, b"") + _record(5, b"")
        answer, errors = b"", b""
        with socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(30)
            connection.connect(str(self.directory / "socket"))
            connection.sendall(request)
            stream = connection.makefile("rb")
            while header := stream.read(8):
                kind, length, padding = struct.unpack(">xBxxHBx", header)
                content = stream.read(length)
                stream.read(padding)
                if kind == 6:
                    answer += content
                elif kind == 7:
                    errors += content
                elif kind == 3:
                    break
        head, _, body = answer.partition(b"\r\n\r\n")
        status = re.search(rb"^Status: (\d+)", head, re.M)
        if errors:
            return 500, errors.decode(errors="replace")
        return int(status[1]) if status else 200, body.decode(errors="replace")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def _length(text: str) -> bytes:
    size = len(text.encode())
    return bytes([size]) if size < 128 else struct.pack(">I", size | 0x80000000)


def until(what, condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise TimeoutError(f"{what}: not within {seconds:g} s")
        time.sleep(0.01)


def server(*command: str):
    port = int(URL.rsplit(":", 1)[1])
    with socket.create_connection(("127.0.0.1", port)) as connection:
        words = b"".join(b"$%d\r\n%s\r\n" % (len(word.encode()), word.encode()) for word in command)
        connection.sendall(b"*%d\r\n" % len(command) + words)
        return connection.recv(1 << 20).decode(errors="replace")


def refresh_after_the_response(fpm: Fpm) -> None:
    server("FLUSHALL")
    server("CACHE.SET", "k", '"old"', "PX", "1", "SWR", "60000")
    time.sleep(0.01)
    script = fpm.directory / "refresh.php"
    script.write_text(REFRESH)
    status, body = fpm.get(script)
    assert (status, body) == (200, "old"), (status, body)
    until("the build begins", fpm.directory.joinpath("begun").exists)
    assert fpm.get(script)[1] == "old"  # of another worker, while the first one builds
    fpm.directory.joinpath("gate").touch()
    until("the new value is there", lambda: "new" in server("CACHE.GET", "k"))
    assert fpm.get(script)[1] == "new"


def load(fpm: Fpm, page: str) -> str:
    """CALLERS callers for SECONDS. What the module counted is what was built: fills, and leases that overlapped are
    impossible by its rules; errors are answers other than 200."""
    server("FLUSHALL")
    server("CONFIG", "RESETSTAT")
    script, answers, errors = Path(EXAMPLES, page), [0] * CALLERS, []
    end = time.monotonic() + SECONDS

    def call(number: int) -> None:
        chance = random.Random(number)
        while time.monotonic() < end:
            day = f"day {chance.randrange(7)}"
            try:
                status, body = fpm.get(script, f"day={quote(day)}")
                if status != 200 or day not in body:
                    errors.append(f"{status} {body[:300]}")
            except OSError as error:
                errors.append(repr(error))
            answers[number] += 1

    threads = [threading.Thread(target=call, args=(number,)) for number in range(CALLERS)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    counted = dict(re.findall(r"(corral_\w+):(\S+)", server("INFO", "corral")))
    assert not errors, errors[:3]
    fills, granted = int(counted["corral_fills"]), int(counted["corral_leases_granted"])
    # Seven days, each fresh for a second: at most so many times, and each grant was one fill.
    assert 7 <= fills <= 7 * (SECONDS + 2), fills
    assert granted - fills <= 7, (granted, fills)
    return f"{page}: {sum(answers)} requests in {SECONDS:g} s, {fills} builds, {len(errors)} errors"


fpm = Fpm()
try:
    refresh_after_the_response(fpm)
    said = [load(fpm, "page.php"), load(fpm, "symfony_page.php")]
    print("a refresh runs after the response; " + "; ".join(said))
finally:
    fpm.end()
