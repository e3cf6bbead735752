"""Load on the server: its requests a second beside `sentiment predict` and a plain handler; too much of it."""
