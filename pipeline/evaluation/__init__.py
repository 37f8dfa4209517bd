"""STS, retrieval, transfer and behavioural evaluation."""
