"""Labels for new texts: formats, streams, the classifier applied to them, and why it says so."""
