"""The example notebook runs from top to bottom, where BPF works and where it does not."""

import json
import os
import sys
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "first_look.ipynb"


@pytest.fixture(autouse=True)
def own_kernel(tmp_path, monkeypatch):
    """The notebook's kernel is this interpreter, whatever kernels this machine has installed."""
    kernel = tmp_path / "jupyter" / "kernels" / "python3"
    kernel.mkdir(parents=True)
    argv = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (kernel / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "test", "language": "python"})
    )
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "runtime"))
    monkeypatch.setenv("JUPYTER_CONFIG_DIR", str(tmp_path / "config"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")


def executed():
    """The cells by id, after a run in the notebook's folder."""
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    NotebookClient(notebook, timeout=120, resources={"metadata": {"path": str(NOTEBOOK.parent)}}).execute()
    return {cell.id: cell for cell in notebook.cells}


def outputs(cell):
    """What a cell shows, by type of content."""
    shown = {}
    for output in cell.outputs:
        shown |= {"text/plain": output.text} if output.output_type == "stream" else output.data
    return shown


def chart(cell):
    """The Vega-Lite chart that a cell shows, and its rows."""
    html = outputs(cell)["text/html"]
    spec, _ = json.JSONDecoder().raw_decode(html, html.index('{"config":'))
    assert spec["$schema"].startswith("https://vega.github.io/schema/vega-lite/")
    (rows,) = spec["datasets"].values()
    return spec, rows


def check(cells, recorded):
    """All cells show what they should; how many calls of sqlite3_step there were."""
    assert outputs(cells["record"])["text/plain"].startswith(recorded)
    assert "0 lost" in outputs(cells["open"])["text/plain"]
    assert "sqlite3_step" in outputs(cells["latency"])["text/html"]
    spec, rows = chart(cells["distribution"])
    assert spec["encoding"]["x"]["scale"]["type"] == "log"
    assert {row["returned"] for row in rows} == {"row", "done"}
    calls = sum(row["calls"] for row in rows)
    assert all(row["low_us"] < row["high_us"] for row in rows)
    _, rows = chart(cells["argument"])
    # The program's two faulty statements, with the zero that ends them.
    assert sorted(row["length"] for row in rows if row["result"] == "error") == [9, 28]
    assert "99%" in outputs(cells["pandas"])["text/html"]
    assert "sqlite3_prepare_v2" in outputs(cells["duckdb"])["text/html"]
    return calls


def test_where_bpf_works():
    if os.geteuid() != 0:
        if os.environ.get("CI"):
            pytest.fail("recording needs root")
        pytest.skip("needs root")
    # How often exactly depends on the versions of Python and SQLite.
    assert check(executed(), "recorded just now") > 10_000


def test_where_bpf_does_not_work(monkeypatch):
    monkeypatch.setenv("FUNCSNOOP_NO_BPF", "1")
    assert check(executed(), "recorded earlier") == 16_590


def test_is_stored_without_outputs():
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert all(not cell.outputs and cell.execution_count is None for cell in code)
