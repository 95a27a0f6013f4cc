"""A trace in DuckDB: SQL over the calls, and over the file itself.

python examples/with_duckdb.py
"""

import duckdb
from recorded import shop

import funcsnoop

path = shop("sqlite_small.parquet")
trace = funcsnoop.open(path)
database = duckdb.connect()

# The file holds entries and exits, and is plain Parquet.
print("\nEvents by function, from the file")
print(database.sql(f"SELECT name, type, count(*) AS events FROM '{path}' GROUP BY ALL ORDER BY ALL"))

# Calls are paired by funcsnoop, and pass to DuckDB as Arrow, without a copy.
calls = trace.calls().collect().to_arrow()

print("Nanoseconds by function")
print(
    database.sql("""
        SELECT name, count(*) AS calls,
               quantile_disc(duration_ns, 0.5) AS p50, quantile_disc(duration_ns, 0.99) AS p99
        FROM calls
        WHERE status = 'complete'
        GROUP BY name
        ORDER BY calls DESC, name
    """)
)

print("How long each prepared statement took, by its address")
print(
    database.sql("""
        SELECT printf('0x%x', arg0) AS statement, count(*) AS steps,
               sum(duration_ns) // 1000 AS microseconds,
               histogram((ret_val % 4294967296)::INTEGER) AS returned
        FROM calls
        WHERE name = 'sqlite3_step' AND status = 'complete'
        GROUP BY arg0
        ORDER BY steps DESC, statement
        LIMIT 5
    """)
)
print(trace.loss)
