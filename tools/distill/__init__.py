"""Distill a fine-tuned large encoder into a small one: what made the encoder in models/encoders/distilled."""
