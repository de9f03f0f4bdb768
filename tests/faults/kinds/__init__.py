"""What can go wrong, one module for each part of the line."""
