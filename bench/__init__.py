"""What it costs: measured, printed as a table, never asserted."""
