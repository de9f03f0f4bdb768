"""For programs that spoke to the earlier Flask system: they change address and login, and nothing else."""
