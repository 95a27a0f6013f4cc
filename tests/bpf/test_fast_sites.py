"""A probe on the fast place of a function sees the same as one at its entry: in real programs, all functions
of a library.

Each program runs without randomisation of addresses, once for each way of recording. What is not the same in
two recordings with probes at the entries is not compared: registers beyond a function's parameters hold
anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Literal

import polars as pl
import pytest

import funcsnoop
from funcsnoop.record.plan import PlannedFunction, make_plan
from funcsnoop.record.site_classes import SiteClass
from funcsnoop.record.target import Target

from ..conftest import FUNCSNOOP

pytestmark = pytest.mark.skipif(os.uname().machine != "x86_64", reason="sites of x86-64")

PYTHON = os.path.realpath(sys.executable)
SQLITE = """
import sqlite3
d = sqlite3.connect(":memory:")
d.execute("create table t(a integer primary key, b text, c real)")
d.executemany("insert into t values(?, ?, ?)", [(i, str(i * 7), i / 3) for i in range(31)])
print(d.execute("select b, sum(c), count(*) from t where a % 3 = 1 group by a % 7 order by b").fetchall())
"""
CRYPTO = """
import hashlib, hmac
for name in ("sha256", "sha3_512", "md5", "blake2b512", "ripemd160"):
    print(hashlib.new(name, b"x" * 199, usedforsecurity=False).hexdigest())
print(hmac.digest(b"key", b"message", "sha512"), hashlib.scrypt(b"p", salt=b"s", n=16, r=2, p=1))
"""
CPYTHON = "print(sum(i * i for i in range(29)), 'x'.join(map(str, range(11))))"

EVENT = ["type", "name", "frame"]
VALUES = [*(f"arg{i}" for i in range(6)), "ret_val"]


def python(code: str) -> list[str | Path]:
    return [PYTHON, "-s", "-S", "-c", code]


@pytest.mark.parametrize(
    ("spec", "command"),
    [
        ("libsqlite3:*", python(SQLITE)),
        ("libcrypto:*", python(CRYPTO)),
        (f"{PYTHON}:*", python(CPYTHON)),
        ("libstdc++:*", None),
    ],
    ids=["libsqlite3", "libcrypto", "CPython", "libstdc++"],
)
def test_the_same_is_seen(tmp_path, build, spec, command):
    command = command or [build("streams.cc", "-O1", "-std=c++17")]

    def recorded(site: str, exit_: str) -> pl.DataFrame:
        output = tmp_path / f"{site}-{exit_}.parquet"
        options = ["-f", spec, "--site", site, "--exit", exit_, "--no-follow", "--buffer", "64M"]
        done = subprocess.run(
            ["setarch", "-R", FUNCSNOOP, "record", "-o", output, *options, "--", *command],
            capture_output=True,
            text=True,
            timeout=120,
            env={"PATH": "/usr/bin:/bin", "PYTHONHASHSEED": "0", "LC_ALL": "C"},
        )
        assert done.returncode == 0, done.stderr
        assert " 0 lost" in done.stderr
        return funcsnoop.open(output).events.select(*EVENT, *VALUES).collect()

    entry = {how: recorded("entry", how) for how in ("return", "ret")}
    auto = {how: recorded("auto", how) for how in ("return", "ret")}
    assert len(entry["ret"]) > 2_000
    for how in ("return", "ret"):
        assert auto[how].select(EVENT).equals(entry[how].select(EVENT))
    # Tail calls end in another order than with return probes.
    one, other = (entry[how].filter(pl.col("type") == "entry") for how in ("return", "ret"))
    assert one.select(EVENT).equals(other.select(EVENT))
    for name in VALUES[:-1]:
        stable = (one[name] == other[name]).to_numpy()
        assert stable.mean() > 0.99, name
        for how in ("return", "ret"):
            seen = auto[how].filter(pl.col("type") == "entry")[name]
            assert (seen == entry[how].filter(pl.col("type") == "entry")[name]).to_numpy()[stable].all(), name
    for how in ("return", "ret"):
        seen, expected = auto[how]["ret_val"].fill_null(0), entry[how]["ret_val"].fill_null(0)
        assert (seen == expected).mean() > 0.999
    called = set(one["name"].unique())
    sites = {how: planned(command, spec, how) for how in ("return", "ret")}
    heads = {f.symbol: f.site for f in planned(command, spec, "ret", at_entry=True)}
    moved = [f for f in sites["ret"] if f.symbol in called and f.site != heads[f.symbol]]
    assert len(moved) > 10
    assert {f.site_class for f in moved} == {SiteClass.EMULATED}
    assert any(f.moved for f in moved)
    assert not any(f.moved for f in sites["return"])


def planned(
    command: list[str | Path], spec: str, how: Literal["return", "ret"], *, at_entry: bool = False
) -> tuple[PlannedFunction, ...]:
    target = Target.for_command([str(part) for part in command])
    return make_plan(target, [spec], [], exit_policy=how, at_entry=at_entry).functions
