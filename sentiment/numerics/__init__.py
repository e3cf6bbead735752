"""Arithmetic with the same result on every processor: exact sums and products, exp, log and their like."""
