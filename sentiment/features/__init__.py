"""The feature store: files of vectors, and the settings that made them."""
