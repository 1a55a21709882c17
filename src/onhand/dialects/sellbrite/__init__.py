"""The Sellbrite REST API v1: inventory and warehouses."""
