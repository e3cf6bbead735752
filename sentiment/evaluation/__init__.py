"""How good predictions are: metrics, bootstrap intervals, significance and curves."""
