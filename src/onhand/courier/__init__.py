"""Tells the channels what they should show, looks whether they do, and lets their orders in."""
