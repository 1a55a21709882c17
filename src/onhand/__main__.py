"""Runs the command line with ``python -m onhand``."""

from onhand.cli import main

main()
