"""Texts to feature vectors: loading an encoder, batching, its forward pass and pooling."""
