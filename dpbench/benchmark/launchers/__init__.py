"""How the processes of a command are started and keep together."""
