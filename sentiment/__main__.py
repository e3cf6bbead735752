"""`python -m sentiment` is the `sentiment` command."""

from sentiment.cli.app import main

if __name__ == "__main__":
    main()
