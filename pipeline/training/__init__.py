"""Stage 3: contrastive training with false negatives masked by a guide model."""
