"""Empirical auditing: whether what a vault releases contradicts the ε that it claims.

An audit never proves an ε; it can only refute one. `one_run` and `many_runs` turn guesses about canaries into lower
bounds on ε, `vault` mixes canaries into the private phase of a method, `small_model` tries every engine by itself.
"""
