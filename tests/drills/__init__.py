"""Drills: kills and bad inputs by the hundred. `make drill` runs them, `python -m tests.drills.kills` alone."""
