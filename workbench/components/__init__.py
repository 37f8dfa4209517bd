"""Streamlit building blocks: each owns its session keys and returns a plain value."""
