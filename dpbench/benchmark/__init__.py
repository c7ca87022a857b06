"""What is compared and how it runs: request, session, trial, stages, and the commands as functions."""
