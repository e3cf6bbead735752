"""Pretrain the bundled encoder from the texts of reviews; no stage imports it."""
