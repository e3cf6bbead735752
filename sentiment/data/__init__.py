"""Reviews as data: schema, text, CSV reading, deduplication and splitting."""
