"""S3: one client with the settings of the DVC remote, and what its errors mean."""
