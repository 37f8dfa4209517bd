"""DuckDB tables: one module per table, each holding all of its SQL."""

from workbench.store.store import Store

__all__ = ["Store"]
