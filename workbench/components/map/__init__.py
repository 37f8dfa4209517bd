"""Parts of the embedding map."""
