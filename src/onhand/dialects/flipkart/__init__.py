"""The Flipkart Marketplace Seller API, listings v3: per-SKU inventory updates behind OAuth bearer tokens."""
