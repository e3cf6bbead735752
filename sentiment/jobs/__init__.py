"""Labels many files by many processes: units of work, their plan and manifest, and the engines that run them."""
