"""Plays real orders over simulated channels in simulated time: what is oversold, lost, and how late. Pure."""
