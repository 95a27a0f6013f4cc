"""What to trace, and the recorder: from the ring buffer to the Parquet file."""
