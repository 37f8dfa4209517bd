"""STS evaluation and the statistics around it."""
