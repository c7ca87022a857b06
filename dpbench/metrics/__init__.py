"""What is measured: one file per family of metrics, and the evaluator that shares features between them."""
