"""Results on disk: trials, their samples and scores, rows, the leaderboard and the privacy record."""
