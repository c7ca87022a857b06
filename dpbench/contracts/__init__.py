"""Promises that every plugin keeps, as checks that run on built-in plugins and on a user's own."""
