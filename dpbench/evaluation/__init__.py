"""Running metrics: the evaluator, shared features, input checks and confidence intervals."""
