"""What runs metrics: the evaluator, features that metrics share, checks of the images, confidence intervals."""
