"""What scripts do: classes, generators, exceptions, regular expressions, JSON, threads, a database."""

import json
import re
import sqlite3
import sys
import threading


class Shape:
    def __init__(self, side):
        self.side = side

    def __call__(self, factor):
        return self.side * factor


def fibonacci(n):
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def squares(n):
    for i in range(n):
        try:
            if i % 3 == 0:
                raise ValueError(i)
            yield i * i
        except ValueError:
            yield -i


results = []
threads = [threading.Thread(target=lambda i=i: results.append(fibonacci(5 + i))) for i in range(4)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
database = sqlite3.connect(":memory:")
database.create_function("thrice", 1, Shape(3))
database.execute("create table t (n integer)")
database.executemany("insert into t values (?)", [(n,) for n in squares(20)])
print(sorted(results), database.execute("select sum(thrice(n)) from t").fetchone())
print(json.dumps(re.findall(r"(\w)=(\d+)", "a=1 b=22 c=333"), indent=1))
sys.exit(14)
