"""pcb/verdict → gate pulses: fires a gate for a fresh, first-seen verdict, and reports every verdict once."""
