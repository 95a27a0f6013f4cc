"""What is missing is named, with what to do."""

import importlib
import sys
import types

import pytest

from funcsnoop.bpf import arch, binding, features
from funcsnoop.bpf.features import Feature, Strategy
from funcsnoop.errors import KernelError, UsageError
from funcsnoop.record.memory import check_ring_bytes


def no_bcc(monkeypatch, system=()):
    real = importlib.import_module

    def fail(name):
        if name == "bcc":
            raise ImportError(name)
        return real(name)

    monkeypatch.setattr(importlib, "import_module", fail)
    monkeypatch.setattr(binding, "_SYSTEM_PACKAGES", system)


def test_bcc_missing_names_the_package(monkeypatch):
    no_bcc(monkeypatch)
    with pytest.raises(KernelError) as caught:
        binding.load_bcc()
    assert caught.value.message == "bcc is not installed"
    assert "apt install python3-bpfcc" in caught.value.hint


def test_the_other_bcc_of_pypi_is_told_apart(monkeypatch):
    monkeypatch.setitem(sys.modules, "bcc", types.ModuleType("bcc"))
    with pytest.raises(KernelError, match="not the BPF Compiler Collection"):
        binding.load_bcc()


def test_kernel_too_old(monkeypatch):
    monkeypatch.setattr(features, "require_privilege", lambda: None)
    monkeypatch.setattr(features, "check", lambda strategy: Feature(False, "no"))
    with pytest.raises(KernelError, match="too old"):
        features.choose(None)


def test_best_that_works_is_chosen(monkeypatch):
    monkeypatch.setattr(features, "require_privilege", lambda: None)
    monkeypatch.setattr(features, "check", lambda strategy: Feature(strategy is not Strategy.SESSION, ""))
    assert features.choose(None) is Strategy.MULTI
    with pytest.raises(KernelError, match="--attach session"):
        features.choose(Strategy.SESSION)


def test_unknown_architecture(monkeypatch):
    monkeypatch.setattr(arch.platform, "machine", lambda: "vax")
    with pytest.raises(KernelError, match="vax"):
        arch.host()


def test_both_architectures_name_six_argument_registers():
    for known in arch.ARCHITECTURES.values():
        assert len(known.arguments) == 6
    assert arch.X86_64.tested
    assert not arch.AARCH64.tested


@pytest.mark.parametrize("size", [0, 1000, 4096 * 3, 1 << 32])
def test_buffer_sizes_that_the_kernel_would_refuse(size):
    with pytest.raises(UsageError, match="not possible"):
        check_ring_bytes(size)


def test_no_module_is_loaded_for_the_help():
    """The command line answers without the heavy packages."""
    import subprocess

    code = (
        "import sys, funcsnoop.cli.app; "
        "print(sorted({'polars', 'pyarrow', 'numpy', 'bcc', 'rich', 'capstone'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
