"""Where the pipeline's outputs live: the S3 remote, a local S3 server for laptops and CI, and what checks them."""
