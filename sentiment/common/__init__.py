"""What every stage needs: errors, whole-file writes, params.yaml, Parquet tables and logs of training."""
