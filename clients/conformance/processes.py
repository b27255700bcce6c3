"""Every process that is started here, so that none is left behind when this program is stopped."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from typing import Any

_started: list[subprocess.Popen[bytes]] = []
_directories: list[str] = []


def start(command: list[str], directory: str | None = None, **streams: Any) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, **streams)
    _started.append(process)
    if directory is not None:
        _directories.append(directory)
    return process


def end_all_when_told() -> None:
    # A shell starts what it runs in the background with SIGINT ignored.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _end_all)


def _end_all(*_: Any) -> None:
    for process in _started:
        if process.returncode is None:
            process.kill()
    for directory in _directories:
        shutil.rmtree(directory, ignore_errors=True)
    os._exit(130)
