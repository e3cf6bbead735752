"""Labels for new texts: readers, batches, the classifier applied to them, writers."""
