"""The database of a plant: its tables, their migrations, and what is read from them.

The recorder writes what the line says, the dashboard what people do; `records.tables.OWNERS` says which table is whose.
"""
