"""The BPF program is compiled beside everything else, and nothing else notices."""

import os
import threading
import time

from funcsnoop.bpf.compile import Sizes
from funcsnoop.record import compiling
from funcsnoop.record.compiling import Compiling


def test_the_working_directory_stays(tmp_path, monkeypatch):
    """bcc changes its own while it compiles."""
    monkeypatch.chdir(tmp_path)
    seen = set()
    with Compiling() as begun:
        begun.begin(Sizes())
        worker = next(thread for thread in threading.enumerate() if thread.name == "compiling")
        while worker.is_alive():
            seen.add(os.getcwd())
            time.sleep(0.0005)
        begun.programs(Sizes()).close()
    assert seen == {str(tmp_path)}


def test_where_it_cannot_have_a_directory_of_its_own(tmp_path, monkeypatch):
    """Then it is compiled when it is needed, and not beside anything."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(compiling, "_has_own_directory", lambda: False)
    with Compiling() as begun:
        begun.begin(Sizes())
        begun.wait()
        with begun.programs(Sizes()) as programs:
            assert programs.counts().produced == 0
