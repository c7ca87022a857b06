"""Networks and transforms shared by methods, refiners and metrics."""
