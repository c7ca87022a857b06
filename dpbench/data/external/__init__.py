"""Images made by other programs: generated images to score, and coarse images to refine."""
