"""Marketplacer's Seller API, version 2: the inventories of multi-store variants, and what is around them."""
