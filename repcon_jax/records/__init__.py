"""What lies on disk: files written whole, metrics, results, the work directory."""
