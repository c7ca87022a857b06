"""The report: one self-contained page about a folder of results. The scripts beside this file draw the page."""
