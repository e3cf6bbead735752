"""The HTTP server: one queue and one model thread behind four API shapes, and a page."""
