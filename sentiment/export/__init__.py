"""Write a classifier in the formats of other libraries, outside the promise of equal bytes."""
