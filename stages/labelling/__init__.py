"""What `stages.predict` is made of: where texts come from, the classifier applied to them, where answers go."""
