"""The published inventory APIs that the hub speaks, one package each; none knows another."""
