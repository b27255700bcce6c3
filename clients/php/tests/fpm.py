"""php-fpm with a number of workers, and one FastCGI request at a time to it."""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "conformance"))

from servers import until

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


class Fpm:
    def __init__(self, program: str, workers: int, environment: dict[str, str], log=None) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="corral-fpm-"))
        user = "user = root\ngroup = root" if os.geteuid() == 0 else ""
        self.directory.joinpath("conf").write_text(
            CONFIGURATION.format(directory=self.directory, workers=workers, user=user)
        )
        environment = os.environ | {"SHOP": str(self.directory / "shop.sqlite")} | environment
        root = ["-R"] if os.geteuid() == 0 else []
        self.process = subprocess.Popen([program, *root, "-F", "-y", self.directory / "conf"], env=environment, stdout=log, stderr=log)
        until("php-fpm listens", self.directory.joinpath("socket").exists)

    def get(self, script: Path, query: str = "", silent: bool = True) -> tuple[int, str]:
        """One FastCGI request, over a connection of its own. silent: whatever it logs is an error."""
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
        if errors and silent:
            return 500, errors.decode(errors="replace")
        return int(status[1]) if status else 200 if head else 502, body.decode(errors="replace")

    def end(self) -> None:
        self.process.terminate()
        self.process.wait()
        shutil.rmtree(self.directory)


def _record(kind: int, content: bytes) -> bytes:
    return struct.pack(">BBHHBx", 1, kind, 1, len(content), 0) + content


def _length(text: str) -> bytes:
    size = len(text.encode())
    return bytes([size]) if size < 128 else struct.pack(">I", size | 0x80000000)
