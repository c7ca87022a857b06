"""What is compared and how: trials and grids, the protocol, the runner."""
