"""The layouts that datasets come in, each with its reader."""
