"""Sum up a shop's orders by day: an extract-transform-load job that needs no variables.

A GET is enough to run it. It uses Python's standard library alone.
"""

import csv
import sqlite3
from contextlib import closing
from decimal import Decimal, InvalidOperation
from pathlib import Path

TABLE = (
    "CREATE TABLE sales (order_id INTEGER PRIMARY KEY, day TEXT, item TEXT, quantity INTEGER, cents INTEGER)"
)
BY_DAY = """
    SELECT day, COUNT(*) AS orders, SUM(quantity) AS pieces, SUM(cents) AS cents
    FROM sales GROUP BY day ORDER BY day
"""


class DailySales:
    """Reads the export, cleans it and reports revenue by day."""

    def __init__(self, path):
        """Remember where the files are; `path` is the folder of this file."""
        self.orders_file = Path(path) / "orders.csv"

    def transform_predict(self):
        """Run the whole job; with no parameter here, a request needs no variables."""
        orders = self.extract()
        sales = self.transform(orders)
        # A database connection belongs to the thread that opened it, and requests come on many threads:
        # open it here, in the call, or give each thread its own. Never in __init__.
        with closing(sqlite3.connect(":memory:")) as database:
            self.load(sales, database)
            days = self.report(database)
        return {
            "days": days,
            "revenue": sum(day["revenue"] for day in days),
            "rows_read": len(orders),
            "rows_used": len(sales),
        }

    def extract(self):
        """Return the rows of the export as they are, all of them text."""
        with self.orders_file.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))

    def transform(self, orders):
        """Return what can be counted: paid orders with sound numbers, each of them once."""
        paid = (order for order in orders if order["status"] == "paid")
        rows = (self.parse(order) for order in paid)
        return list({row["order_id"]: row for row in rows if row is not None}.values())

    @staticmethod
    def parse(order):
        """Return one order with real numbers, or None when the export has nonsense in it."""
        try:
            quantity = int(order["quantity"])
            # Money as whole cents: a float would lose some of them on the way.
            cents = int(Decimal(order["unit_price"]) * 100) * quantity
        except (ValueError, InvalidOperation):
            return None
        return {
            "order_id": int(order["order_id"]),
            "day": order["placed_at"][:10],
            "item": order["item"],
            "quantity": quantity,
            "cents": cents,
        }

    @staticmethod
    def load(sales, database):
        """Put the rows into the table that the report reads; a real job would write to a warehouse."""
        database.row_factory = sqlite3.Row
        database.execute(TABLE)
        database.executemany("INSERT INTO sales VALUES (:order_id, :day, :item, :quantity, :cents)", sales)

    @staticmethod
    def report(database):
        """Return one entry for each day; the server writes a Decimal as an exact text."""
        return [
            {
                "day": row["day"],
                "orders": row["orders"],
                "pieces": row["pieces"],
                "revenue": Decimal(row["cents"]).scaleb(-2),
            }
            for row in database.execute(BY_DAY)
        ]
