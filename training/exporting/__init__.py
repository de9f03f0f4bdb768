"""From the weights of a run to a model folder: what is written is checked against the checkpoint first."""
