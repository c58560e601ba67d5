"""Where the bytes of stored arrays are and how files come to be; maps and computes nothing."""
