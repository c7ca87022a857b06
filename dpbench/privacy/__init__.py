"""Private training and queries: mechanisms, plans, calibration, the ledger, and the vault of sensitive records."""
