"""A small shop in SQLite: fill it, then ask it things, as Python programs use SQLite.

Used by `make demo`. Some questions have an index and some have none, so that calls of the same
function take very different times. With `--no-index` none has one, with `--index-days` all have.
"""

import contextlib
import random
import sqlite3
import sys

random.seed(23)
shop = sqlite3.connect(":memory:")
shop.execute("CREATE TABLE customer (id INTEGER PRIMARY KEY, name TEXT, city TEXT)")
shop.execute("CREATE TABLE purchase (id INTEGER PRIMARY KEY, customer INTEGER, day INTEGER, cents INTEGER)")
cities = ["Bergen", "Kyoto", "Lagos", "Lima", "Oslo", "Quito", "Turin"]
shop.executemany(
    "INSERT INTO customer (name, city) VALUES (?, ?)",
    [(f"customer {i}", random.choice(cities)) for i in range(997)],
)
shop.executemany(
    "INSERT INTO purchase (customer, day, cents) VALUES (?, ?, ?)",
    [(random.randint(1, 997), random.randint(1, 365), random.randint(99, 99_999)) for _ in range(10_007)],
)
shop.commit()
if "--no-index" not in sys.argv:
    shop.execute("CREATE INDEX purchase_customer ON purchase (customer)")
if "--index-days" in sys.argv:
    shop.execute("CREATE INDEX purchase_day ON purchase (day, cents)")

total = 0
for customer in range(1, 501):  # quick: the index finds them
    for (cents,) in shop.execute("SELECT cents FROM purchase WHERE customer = ?", (customer,)):
        total += cents
for day in range(1, 24):  # slow, without --index-days: every purchase is looked at
    total += shop.execute("SELECT sum(cents) FROM purchase WHERE day = ?", (day,)).fetchone()[0] or 0
best = shop.execute(
    "SELECT city, sum(cents) AS turnover FROM purchase JOIN customer ON customer = customer.id "
    "GROUP BY city ORDER BY turnover DESC"
).fetchall()
for statement in ("SELECT nothing FROM nowhere", "SELEKT 1"):
    with contextlib.suppress(sqlite3.OperationalError):  # the return value of sqlite3_prepare_v2 shows it
        shop.execute(statement)
print(f"best city: {best[0][0]}, checksum {total % 9973}")
