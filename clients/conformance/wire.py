"""The server's protocol, RESP2, as far as the scenarios need it: one connection, one command at a time."""

from __future__ import annotations

import socket
from typing import Any


class ServerError(Exception):
    """An error reply."""


class Connection:
    def __init__(self, port: int, timeout: float = 10.0) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._file = self._socket.makefile("rb")

    def call(self, *arguments: Any) -> Any:
        encoded = [argument.encode() if isinstance(argument, str) else str(argument).encode() for argument in arguments]
        self._socket.sendall(b"*%d\r\n" % len(encoded) + b"".join(b"$%d\r\n%s\r\n" % (len(e), e) for e in encoded))
        reply = self._read()
        if isinstance(reply, ServerError):
            raise reply
        return reply

    def close(self) -> None:
        self._file.close()
        self._socket.close()

    def _read(self) -> Any:
        line = self._file.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("the server closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return ServerError(rest.decode())
        if kind == b":":
            return int(rest)
        if kind == b"$":
            if rest == b"-1":
                return None
            data = self._file.read(int(rest) + 2)[:-2]
            return data.decode(errors="backslashreplace")
        if kind == b"*":
            return None if rest == b"-1" else [self._read() for _ in range(int(rest))]
        raise ConnectionError(f"not RESP2: {line!r}")


def slot_of(key: str) -> int:
    tagged = key.encode()
    start = tagged.find(b"{")
    if start >= 0:
        end = tagged.find(b"}", start + 1)
        if end > start + 1:
            tagged = tagged[start + 1 : end]
    checksum = 0
    for byte in tagged:
        checksum ^= byte << 8
        for _ in range(8):
            checksum = (checksum << 1) ^ 0x1021 if checksum & 0x8000 else checksum << 1
            checksum &= 0xFFFF
    return checksum % 16384
