"""How unlike the good boards of its product a board is: registration, PaDiM, the file of one product and side."""
