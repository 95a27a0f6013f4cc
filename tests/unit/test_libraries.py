from __future__ import annotations

import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

from funcsnoop.errors import TargetError
from funcsnoop.record.ldcache import parse_cache, read_cache
from funcsnoop.record.libraries import Loader, is_named, resolve, version_key


@pytest.mark.parametrize(
    ("file", "name", "expected"),
    [
        ("libc.so.6", "libc", True),
        ("libc.so.6", "libc.so", True),
        ("libc.so.6", "libc.so.6", True),
        ("libcrypto.so.3", "libc", False),
        ("libc++.so.1", "libc", False),
        ("libsqlite3.so.0.8.6", "libsqlite3.so.0", True),
        ("libsqlite3.so.0.8.6", "libsqlite3", True),
        ("libssl.so.30", "libssl.so.3", False),
        ("libc.so.6", "c", False),
        ("python3.11", "python3.11", True),
        ("python3.11", "python3", False),
    ],
)
def test_names(file, name, expected):
    assert is_named(file, name) is expected


def test_versions_are_numbers():
    assert max(["libx.so.9", "libx.so.10", "libx.so"], key=version_key) == "libx.so.10"


def executables() -> list[str]:
    found = [
        os.path.realpath(sys.executable),
        shutil.which("gcc"),
        shutil.which("openssl"),
        shutil.which("gdb"),
    ]
    return [os.path.realpath(path) for path in found if path]


def test_closures_equal_those_of_ldd():
    assert len(executables()) >= 2
    for path in executables():
        lines = subprocess.run(["ldd", path], capture_output=True, text=True, check=True).stdout
        expected = set(re.findall(r"(?:=> |^\t)(/\S+) \(0x", lines, re.MULTILINE))
        found = Loader(path, {}).closure()
        assert {os.path.realpath(f) for f in found} == {os.path.realpath(e) for e in expected}, path
        assert len(found) == len(set(found))


def test_the_cache_equals_ldconfig():
    ldconfig = shutil.which("ldconfig", path="/sbin:/usr/sbin:" + os.environ["PATH"])
    if ldconfig is None or not os.path.exists("/etc/ld.so.cache"):
        pytest.skip("this system has no ld.so.cache")
    lines = subprocess.run([ldconfig, "-p"], capture_output=True, text=True, check=True).stdout
    abi = {"x86_64": "x86-64", "aarch64": "AArch64"}[os.uname().machine]
    expected = re.findall(rf"^\t(\S+) \(libc6,{abi}(?:, OS ABI: [^)]*)?\) => (.*)$", lines, re.MULTILINE)
    ours = [entry for entry in read_cache() if not re.search("/libx?32/", entry[1])]
    assert ours == expected


def cache(*entries: tuple[str, str, int, int]) -> bytes:
    """A cache file of (name, path, flags, hwcap)."""
    strings, rows = b"", b""
    base = 48 + 24 * len(entries)
    for name, path, flags, hwcap in entries:
        key = base + len(strings)
        strings += name.encode() + b"\0"
        value = base + len(strings)
        strings += path.encode() + b"\0"
        rows += struct.pack("<iIIIQ", flags, key, value, 0, hwcap)
    return b"glibc-ld.so.cache1.1" + struct.pack("<II20x", len(entries), len(strings)) + rows + strings


def test_cache_formats():
    content = cache(
        ("liba.so.1", "/lib/liba.so.1", 0x0303, 0),
        ("liba.so.1", "/lib32/liba.so.1", 0x0003, 0),
        ("liba.so.1", "/lib/fast/liba.so.1", 0x0303, 1 << 62),
        ("libold.so.1", "/lib/libold.so.1", 0x0301, 0),
    )
    assert list(parse_cache(content)) == [("liba.so.1", "/lib/liba.so.1")]
    assert list(parse_cache(b"ld.so-1.7.0\0" + struct.pack("<I", 0) + content)) == [
        ("liba.so.1", "/lib/liba.so.1")
    ]
    assert list(parse_cache(b"")) == list(parse_cache(b"junk" + content)) == []
    for length in range(len(content)):
        list(parse_cache(content[:length]))


@pytest.fixture
def shared(build_text, tmp_path):
    """shared(directory, name, ...): a library there, with a function of its own; its path."""

    def make(directory: str, name: str, *flags: str) -> Path:
        path = tmp_path / directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        built = build_text(
            f"int in_{directory.replace('/', '_')}(void) {{ return 1; }}", "-shared", "-fPIC", *flags
        )
        shutil.copy(built, path)
        return path

    return make


def program(build_text, tmp_path: Path, *flags: str) -> str:
    path = tmp_path / "bin" / "program"
    path.parent.mkdir(exist_ok=True)
    shutil.copy(build_text("int main(void) { return 0; }", "-Wl,--no-as-needed", *flags), path)
    return str(path)


def test_runpath_rpath_and_library_path(build_text, tmp_path, shared):
    for directory in ("one", "two"):
        shared(directory, "libzz.so.1", "-Wl,-soname,libzz.so.1")
    link = shared("one", "libzz.so", "-Wl,-soname,libzz.so.1")
    new = program(build_text, tmp_path, str(link), "-Wl,-rpath,$ORIGIN/../one", "-Wl,--enable-new-dtags")
    one, two = (f"{tmp_path}/{directory}/libzz.so.1" for directory in ("one", "two"))

    def found(executable: str, environment: dict[str, str]) -> str:
        loader = Loader(executable, environment)
        by_name, by_closure = loader.find("libzz"), next(f for f in loader.closure() if "libzz" in f)
        assert os.path.realpath(by_name) == os.path.realpath(by_closure)
        # The real loader is the oracle.
        lines = subprocess.run(
            ["ldd", executable],
            env={"PATH": os.environ["PATH"], **environment},
            capture_output=True,
            text=True,
        ).stdout
        assert os.path.realpath(re.search(r"libzz.so.1 => (\S+)", lines)[1]) == os.path.realpath(by_closure)
        return os.path.realpath(by_name)

    assert found(new, {}) == one
    assert found(new, {"LD_LIBRARY_PATH": f"{tmp_path}/two"}) == two
    old = program(build_text, tmp_path, str(link), "-Wl,-rpath,${ORIGIN}/../one", "-Wl,--disable-new-dtags")
    assert found(old, {"LD_LIBRARY_PATH": f"{tmp_path}/two"}) == one


def test_a_runpath_hides_the_executables_rpath(build_text, tmp_path, shared):
    shared("far", "libfar.so.1", "-Wl,-soname,libfar.so.1")
    far = str(shared("far", "libfar.so", "-Wl,-soname,libfar.so.1"))
    needy = ("-Wl,--no-as-needed", far, "-Wl,-rpath,/nowhere", "-Wl,-soname,libmid.so.1")
    for flag, expected in (("-Wl,--enable-new-dtags", False), ("-Wl,--disable-new-dtags", True)):
        middle = str(shared("mid", "libmid.so.1", *needy, flag))
        rpath = (
            f"-Wl,-rpath,{tmp_path}/mid:{tmp_path}/far",
            "-Wl,--disable-new-dtags",
            "-Wl,--allow-shlib-undefined",
        )
        executable = program(build_text, tmp_path, middle, *rpath, "-Wl,--unresolved-symbols=ignore-all")
        lines = subprocess.run(["ldd", executable], capture_output=True, text=True).stdout
        assert ("libfar.so.1 => not found" not in lines) is expected
        found = Loader(executable, {}).closure()
        assert any(path.endswith("libmid.so.1") for path in found)
        assert any(path.endswith("libfar.so.1") for path in found) is expected


def test_preloaded_libraries_belong_to_the_closure(build_text, tmp_path, shared):
    path = shared("pre", "libpre.so")
    loader = Loader(program(build_text, tmp_path), {"LD_PRELOAD": str(path)})
    assert str(path) in loader.closure()


def test_the_highest_version_is_taken_and_foreign_files_are_not(build_text, tmp_path, shared):
    for version in ("9", "10"):
        shared("many", f"libmany.so.{version}")
    (tmp_path / "many" / "libmany.so.11").write_text("INPUT(libmany.so.10)")
    loader = Loader(None, {"LD_LIBRARY_PATH": f"{tmp_path}/many"})
    assert loader.find("libmany") == f"{tmp_path}/many/libmany.so.10"
    assert loader.find("libmany.so.9") == f"{tmp_path}/many/libmany.so.9"


def test_no_such_library_names_near_ones():
    with pytest.raises(TargetError, match="no library libcrypt9000") as caught:
        Loader(None, {}).find("libcrypt9000")
    assert "libcrypt" in caught.value.hint


def test_links_are_followed_inside_another_root(tmp_path):
    root = tmp_path / "root"
    (root / "usr" / "lib").mkdir(parents=True)
    (root / "lib").symlink_to("/usr/lib")
    (root / "usr" / "lib" / "x.so").symlink_to("../../usr/lib/x.so.1")
    (root / "usr" / "lib" / "x.so.1").touch()
    (root / "loop").symlink_to("loop")
    assert resolve(str(root), "/lib/x.so") == "/usr/lib/x.so.1"
    assert resolve(str(root), "/../../lib/../lib/x.so") == "/usr/lib/x.so.1"
    assert resolve(str(root), "/loop") == "/loop"


def test_libraries_of_another_root(build_text, tmp_path, shared):
    root = tmp_path / "root"
    inside = shared("root/usr/lib", "libin.so.1", "-Wl,-soname,libin.so.1")
    (root / "lib").symlink_to("usr/lib")
    (root / "bin").mkdir()
    built = build_text("int main(void) { return 0; }", "-Wl,--no-as-needed", str(inside))
    shutil.copy(built, root / "bin" / "program")
    loader = Loader("/bin/program", {}, "/", str(root))
    assert resolve(str(root), loader.find("libin")) == "/usr/lib/libin.so.1"
    assert [resolve(str(root), path) for path in loader.closure()] == ["/usr/lib/libin.so.1"]
