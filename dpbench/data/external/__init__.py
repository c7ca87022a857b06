"""Images that other programs made: files to score, and coarse images to refine."""
