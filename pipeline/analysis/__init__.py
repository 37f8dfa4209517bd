"""Looking at an embedding space: projections, neighbours, errors."""
