"""What a worker process does for each kind of job."""
