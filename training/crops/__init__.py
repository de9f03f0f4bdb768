"""Square crops for training, cut on the fly: from real boards, from spoiled templates and from drawn boards."""
