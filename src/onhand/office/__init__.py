"""What the command line asks of the ledger: done in this process, or by the hub that holds the file."""
