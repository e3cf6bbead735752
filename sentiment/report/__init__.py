"""The HTML report: what it shows, collected from DVC, and the page that shows it."""
