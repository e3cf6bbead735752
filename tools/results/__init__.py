"""Makes the results tables of README and of the bundled encoder's card: runs every row, and writes what came out."""
