"""php-fpm with four workers: refreshes after the response, and the example pages under load.

usage: workers.py FPM EXAMPLES AUTOLOAD REDIS_URL [SECONDS]
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "conformance"))

from servers import until
from workers_under_load import WORKERS, load, server_at

FPM, EXAMPLES, AUTOLOAD, URL = sys.argv[1:5]
SECONDS = float(sys.argv[5]) if len(sys.argv) > 5 else 10.0

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


def refresh_after_the_response(fpm: Fpm) -> None:
    server = server_at(URL)
    server.call("FLUSHALL")
    server.call("CACHE.SET", "k", '"old"', "PX", "1", "SWR", "60000")
    time.sleep(0.01)
    script = fpm.directory / "refresh.php"
    script.write_text(REFRESH)
    status, body = fpm.get(script)
    assert (status, body) == (200, "old"), (status, body)
    until("the build begins", fpm.directory.joinpath("begun").exists)
    assert fpm.get(script)[1] == "old"  # of another worker, while the first one builds
    fpm.directory.joinpath("gate").touch()
    until("the new value is there", lambda: server.call("CACHE.GET", "k")[1] == '"new"')
    assert fpm.get(script)[1] == "new"


fpm = Fpm()
try:
    refresh_after_the_response(fpm)
    said = [
        load(URL, page, lambda query, page=page: fpm.get(Path(EXAMPLES, page), query), SECONDS)
        for page in ("page.php", "symfony_page.php")
    ]
    print("a refresh runs after the response; " + "; ".join(said))
finally:
    fpm.end()
