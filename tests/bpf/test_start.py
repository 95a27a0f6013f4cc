"""What a recording, and an answer, begin without."""

import pytest


@pytest.fixture
def marked(tmp_path):
    """The environment in which pandas leaves a mark when it is imported: `imported`."""
    place = tmp_path / "packages"
    place.mkdir()
    mark = tmp_path / "imported"
    (place / "pandas.py").write_text(f"open({str(mark)!r}, 'w').close()\nraise ImportError\n")
    return mark, {"PYTHONPATH": str(place)}


def test_pandas_is_not_imported(run, build, marked):
    """Arrow imports it at many a conversion, where it is installed: that takes longer than all else."""
    mark, env = marked
    done = run("record", "-o", "trace.parquet", "-f", "*", "--", build("calls.c", "-O1"), env=env)
    assert ", 0 lost -> trace.parquet" in done.stderr
    assert not mark.exists()
    for report in ("latency", "callgraph", "summary"):
        done = run("analyze", report, "trace.parquet", env=env)
        assert (done.status, mark.exists()) == (0, False), report
