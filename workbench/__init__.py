"""The application: store, jobs, actions, command line and Streamlit components."""

__version__ = "0.1.0"
