"""Measure the server under load, beside LitServe and Ray Serve around the same classifier."""
