"""Rows, where they are stored, and the leaderboard that is derived from them."""
