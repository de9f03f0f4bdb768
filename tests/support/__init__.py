"""What the tests of several rooms share: a real broker, a real database, and a foreign client."""
