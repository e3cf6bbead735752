"""Pretrains the bundled encoder from review texts; no stage imports it."""
