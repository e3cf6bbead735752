"""What the stages share: no paths, no params file, nothing done at import."""
