"""Find what customers are unhappy with, where and since when."""
