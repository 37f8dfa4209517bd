"""Stage 1: contrastively refined generation of positives and hard negatives."""
