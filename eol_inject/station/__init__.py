"""Running the line: one unit's cycle, what to resume, the label in step with the unit."""
