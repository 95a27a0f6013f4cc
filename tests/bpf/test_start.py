"""What a recording begins without."""

import importlib.util


def test_pandas_is_not_imported(run, build):
    """Arrow imports it at many a conversion, where it is installed: that would be most of the start."""
    assert importlib.util.find_spec("pandas"), "the test needs it"
    done = run(
        *("record", "-o", "trace.parquet", "-f", "*", "--", build("calls.c", "-O1")),
        env={"PYTHONPROFILEIMPORTTIME": "1"},
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert ", 0 lost -> trace.parquet" in done.stderr
    assert {"pyarrow", "numpy"} <= imported
    assert "pandas" not in imported
