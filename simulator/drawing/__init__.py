"""Drawing of bare boards: copper layout, defects and the look of the print."""
