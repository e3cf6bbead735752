"""The `sentiment` command: one module per sub-command."""
