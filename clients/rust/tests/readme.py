"""The README's blocks, as an empty project of somebody who copies them.

usage: readme.py DIRECTORY URL             makes the project: a program of each block
       readme.py DIRECTORY URL run BUILT   runs them
"""

import re
import subprocess
import sys
from pathlib import Path

README = Path(__file__).resolve().parents[1] / "README.md"
MANIFEST = """[package]
name = "readme"
version = "0.1.0"
edition = "2021"

[dependencies]
corral-cache = "0.1.0"
redis = { version = "1", default-features = false, features = ["tokio-comp"] }
serde = { version = "1", features = ["derive"] }
tokio = { version = "1", features = ["macros", "rt-multi-thread"] }

[workspace]
"""

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
    (place / "Cargo.toml").write_text(MANIFEST)
    for number, block in enumerate(blocks):
        (programs / f"block{number}.rs").write_text(block.replace("redis://localhost:6379", url))
