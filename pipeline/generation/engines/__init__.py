"""What computes next-token log-probabilities: llama.cpp, and the same weights in torch."""
