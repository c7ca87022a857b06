"""The tables and pages that commands print, one module per page. Only the command line uses Rich."""
