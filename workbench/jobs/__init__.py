"""Detached worker processes: job folder, journal, runner, ingester."""
