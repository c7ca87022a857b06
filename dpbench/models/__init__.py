"""Networks and transforms that more than one part uses."""
