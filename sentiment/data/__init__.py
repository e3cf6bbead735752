"""Reviews as data: readers of any format, schema, texts, ratings and dates, splitting, and what `init` proposes."""
