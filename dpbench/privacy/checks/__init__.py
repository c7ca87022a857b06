"""What the vault checks of closures and models on made-up records (rule R1)."""
