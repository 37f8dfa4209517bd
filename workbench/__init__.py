"""The application: store, jobs, actions, command line and Streamlit components."""
