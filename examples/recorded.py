"""A trace for an example: recorded now where that works, else the one in `data/` that comes with it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

#: Few functions, so that their probes stay out of each other's times.
FUNCTIONS = "libsqlite3.so.0:/^sqlite3_(step|prepare_v2|reset|finalize|column_text)$/"


def shop(stored: str, *options: str) -> Path:
    """A trace of SQLite under `sqlite_queries.py OPTIONS`; the one in `data/STORED` where there is no BPF.

    Recording needs root and a kernel with BPF; `FUNCSNOOP_NO_BPF=1` does without.
    """
    here = Path(os.path.relpath(Path(__file__).parent))
    if "FUNCSNOOP_NO_BPF" not in os.environ:
        fresh = here / "recorded" / stored
        fresh.parent.mkdir(exist_ok=True)
        done = subprocess.run(
            [
                *(
                    Path(sys.executable).with_name("funcsnoop"),
                    "record",
                    "--quiet",
                    "--force",
                    "-o",
                    fresh.resolve(),
                ),
                *("-f", FUNCTIONS, "--args", "3"),
                # One thread, and nothing in it throws: return probes are safe here.
                *("--exit", "return"),
                *("--", "/usr/bin/python3", "sqlite_queries.py", *options),
            ],
            cwd=here,
            capture_output=True,
            text=True,
        )
        if done.returncode == 0:
            print("recorded just now")
            return fresh
        print(done.stderr, file=sys.stderr)
    print("recorded earlier, and stored")
    return here / "data" / stored
