"""A sales channel of our own, to try the hub on: a little HTTP server with products, orders and faults."""
