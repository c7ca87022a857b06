"""Empirical auditing: tests whether a vault's releases contradict the ε that it claims.

An audit can refute an ε but never confirm it. `one_run` and `many_runs` turn guesses about canaries into lower bounds
on ε, `audited_vault` adds canaries to the private phase of a method, `small_model` tests every engine on its own.
"""
