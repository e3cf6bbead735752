"""The colors and shapes of HTML pages, one file of CSS for the server's page and for the report."""
