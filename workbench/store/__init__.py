"""DuckDB tables: one module per table, each holding all of its SQL."""
