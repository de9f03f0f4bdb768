"""The edge: a camera's pictures, chosen by trigger, onto the bus as `<root>/frame/<side>`."""
