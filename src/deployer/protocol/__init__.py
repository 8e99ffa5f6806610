"""What master and agent say to each other: pure records and rules, without Twisted."""
