"""Measures a detector on labelled boards, by three protocols, and says in the model card what came out."""
