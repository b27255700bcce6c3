"""Every block of README.md is run as it stands, but for the server's address."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import redis

README = Path(os.environ["CORRAL_README"]).read_text()
FRONT_PAGE = Path(os.environ["CORRAL_README"]).parents[2].joinpath("README.md").read_text()
ACL = Path(os.environ["CORRAL_ACL"]).read_text().strip()
URL = os.environ["REDIS_URL"]
BLOCKS = re.findall(r"^```(\w[\w-]*)\n(.*?)^```$", README, re.M | re.S)


def test_there_is_no_block_that_nobody_runs():
    assert {language for language, _ in BLOCKS} <= {"python", "text", "sh"}
    assert len(BLOCKS) >= 8


@pytest.mark.parametrize(
    "block",
    [text for language, text in BLOCKS if language == "python"]
    + re.findall(r"^```python\n(.*?)^```$", FRONT_PAGE, re.M | re.S),
)
def test_a_block_runs_in_an_empty_directory(block, tmp_path):
    redis.Redis.from_url(URL).flushall()
    program = tmp_path / "block.py"
    program.write_text(
        block.replace("redis://localhost:6379", URL).replace("port=6379", f"port={URL.rsplit(':', 1)[1]}")
    )
    ran = subprocess.run([sys.executable, program], cwd=tmp_path, capture_output=True, text=True, timeout=60)
    assert ran.returncode == 0, ran.stderr
    assert "Traceback" not in ran.stderr


def test_the_user_is_the_one_that_the_conformance_scenarios_are_played_with():
    blocks = [text.strip() for language, text in BLOCKS if language == "text"]
    assert blocks == [ACL]
