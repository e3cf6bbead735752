"""The stages of the pipeline, one module each, and the commands around them."""
