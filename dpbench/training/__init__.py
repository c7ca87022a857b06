"""The training loop for any stepper, with checkpoints, moving average, progress, devices and public batches."""
