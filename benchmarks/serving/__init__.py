"""Load tests of the server: throughput beside `sentiment predict` and a plain handler, and behavior under overload."""
