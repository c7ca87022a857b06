"""A trial, from its specification to its scores, and the schedule of many."""
