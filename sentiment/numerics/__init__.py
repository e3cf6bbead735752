"""Arithmetic with the same result on every processor: exact integer products, fixed sums, elementwise functions."""
