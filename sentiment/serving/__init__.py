"""The HTTP server: one queue and its workers behind four API shapes, and a page."""
