"""The Treet listings API: one listing's inventory is set or adjusted, and listings are listed."""
