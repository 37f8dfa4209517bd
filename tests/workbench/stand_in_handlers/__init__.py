"""Quick handlers that behave like the real ones towards the job folder."""
