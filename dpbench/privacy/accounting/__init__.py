"""The privacy cost of releases, and its composition."""
