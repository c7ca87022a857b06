"""Text encoders, one file per encoder."""
