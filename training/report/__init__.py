"""Pages that people look at: one self-contained HTML file each, no scripts, nothing loaded from elsewhere."""
