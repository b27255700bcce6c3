"""A shop's orders in SQLite, and a report over them that is slow to make."""

import os
import sqlite3
import time
from contextlib import closing

DATABASE = os.environ.get("SHOP_DATABASE", "shop.db")


def make(orders: int = 50_000) -> None:
    """Each worker process calls it; the first one makes the shop."""
    with closing(sqlite3.connect(DATABASE, isolation_level=None, timeout=60)) as database:
        database.execute("BEGIN IMMEDIATE")
        if not database.execute("SELECT 1 FROM sqlite_master WHERE name = 'orders'").fetchone():
            database.execute("CREATE TABLE orders (day TEXT, pence INTEGER)")
            database.execute("CREATE TABLE built (day TEXT)")
            days = ("monday", "tuesday", "wednesday", "thursday", "friday")
            rows = ((days[n % 5], n * 7919 % 10_000) for n in range(orders))
            database.executemany("INSERT INTO orders VALUES (?, ?)", rows)
        database.execute("COMMIT")


def report(day: str, connection: sqlite3.Connection) -> dict:
    """Notes in the table `built` that it was made, so that anybody can count."""
    with connection:
        connection.execute("INSERT INTO built VALUES (?)", (day,))
    time.sleep(float(os.environ.get("SHOP_SECONDS", "0.5")))  # a few joins more
    number, pence = connection.execute("SELECT count(*), sum(pence) FROM orders WHERE day = ?", (day,)).fetchone()
    return {"day": day, "orders": number, "pounds": pence / 100}
