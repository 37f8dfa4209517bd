"""LLMs of every kind behind one protocol: llama.cpp, transformers, servers."""
