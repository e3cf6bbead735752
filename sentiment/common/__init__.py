"""What every stage needs: errors, whole-file writes, params.yaml and Parquet tables."""
