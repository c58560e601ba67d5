"""Who does the work of a plan, and when; what the work means is decided above."""
