"""What people do besides running the line; one module an act."""
