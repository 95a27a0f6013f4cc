"""A trace in pandas: quantiles by function and return value, and latency over time.

python examples/with_pandas.py
"""

from recorded import shop

import funcsnoop

trace = funcsnoop.open(shop("sqlite_small.parquet"))

# Arrow's types: plain NumPy has no integers with gaps, and would round addresses.
calls = trace.calls().collect().to_pandas(use_pyarrow_extension_array=True)
complete = calls[calls["status"] == "complete"]

print("\nNanoseconds by function and return value (100 is SQLITE_ROW, 101 SQLITE_DONE)")
quantiles = complete.groupby(["name", "ret_val"], observed=True)["duration_ns"].quantile([0.5, 0.99])
print(quantiles.unstack().astype("int64").query("name in ['sqlite3_step', 'sqlite3_reset']"))

print("\nThe slowest call of each function, with its first argument")
slowest = complete.loc[complete.groupby("name", observed=True)["duration_ns"].idxmax()]
print(slowest[["name", "duration_ns", "arg0"]].to_string(index=False))

print("\nThe 99th percentile of sqlite3_step over time, in tenths of the recording")
step = complete[complete["name"] == "sqlite3_step"].copy()
began, ended = step["start"].min(), step["end"].max()
step["tenth"] = (step["start"] - began) * 10 // (ended - began + 1)
print(step.groupby("tenth")["duration_ns"].quantile(0.99).astype("int64"))

print(f"\n{trace.loss}")
