"""The science: plain functions from data to data. Imports neither Streamlit nor DuckDB."""
