"""What the report shows, gathered from DVC, and the page that shows it."""
