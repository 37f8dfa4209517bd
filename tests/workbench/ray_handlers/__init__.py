"""The real handlers with an LLM that sleeps; see MULTICSR_TEST_HANDLERS."""
