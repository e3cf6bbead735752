"""S3: one client with the settings of the DVC remote, what its errors mean, and `push`, `pull` and `doctor`."""
