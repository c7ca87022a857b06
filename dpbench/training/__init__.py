"""The loop around any stepper: optimiser, EMA, progress."""
