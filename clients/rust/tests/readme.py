"""The README's blocks, as an empty project of somebody who copies them.

usage: readme.py DIRECTORY URL             makes the project: a program of each block
       readme.py DIRECTORY URL run BUILT   runs them
"""

import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"


def manifest(shell: str) -> str:
    """What its commands make of an empty directory: outside of this one, whose workspace a new project would be added to. The
    package is to be the one that was packaged, so the path is left out."""
    with tempfile.TemporaryDirectory() as empty:
        clone = str(README.parents[2])
        subprocess.run(["bash", "-e", "-c", shell], cwd=empty, check=True, env=os.environ | {"CORRAL": clone})
        made = Path(empty, "Cargo.toml").read_text()
    return re.sub(r', path = "[^"]*"', "", made) + "\n[workspace]\n"


place, url = Path(sys.argv[1]), sys.argv[2]
blocks = re.findall(r"^```rust\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)
if sys.argv[3:4] == ["run"]:
    for number in range(len(blocks)):
        done = subprocess.run([f"{sys.argv[4]}/block{number}"], capture_output=True, text=True, timeout=120)
        print(done.stdout, done.stderr)
        if done.returncode or not done.stdout.strip():
            raise SystemExit(f"block {number} FAILED")
    print(f"{len(blocks)} blocks compile and run, in an empty project")
else:
    programs = place / "src" / "bin"
    programs.mkdir(parents=True, exist_ok=True)
    (place / "Cargo.toml").write_text(manifest(re.search(r"^```sh\n(.*?)^```$", README.read_text(), re.MULTILINE | re.DOTALL)[1]))
    for number, block in enumerate(blocks):
        (programs / f"block{number}.rs").write_text(block.replace("redis://localhost:6379", url))
