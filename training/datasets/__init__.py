"""Labelled pictures: read from the layouts that are about, checked, and kept in the project's own form."""
