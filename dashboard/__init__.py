"""The operator's window: web pages, live pictures, and the doors that other programs use."""
