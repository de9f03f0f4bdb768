"""What made the starter model: datasets, training, evaluation and export."""
