"""The encoder's folder, from git or the Hugging Face Hub; and training the encoder on labeled reviews."""
