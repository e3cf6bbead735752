"""A fine-tuned large encoder teaches a small one: what made the encoder in models/encoders/distilled."""
