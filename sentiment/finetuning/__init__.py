"""Fetch the encoder's folder from git or the Hugging Face Hub, and train the encoder on labeled reviews."""
