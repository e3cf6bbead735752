"""Labels for new texts: formats, batches, the classifier applied to them."""
