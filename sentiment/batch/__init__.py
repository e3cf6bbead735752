"""Labels many files, or encodes splits, by many processes: units of work, their plan, and the engines that run them."""
