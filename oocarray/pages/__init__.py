"""What Linux knows of a file's pages: bytes and addresses, never arrays."""
