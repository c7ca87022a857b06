"""Public classes that resemble the private ones."""
