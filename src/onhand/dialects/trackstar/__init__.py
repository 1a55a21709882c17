"""The Trackstar dialect: one cart API in front of many integrations, chosen by the access token."""
