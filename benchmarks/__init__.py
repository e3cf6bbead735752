"""The benchmarks of `make bench`: each measures this project and a baseline in the same run."""
