"""Votes of private records for public candidates and sources."""
