"""What the demo shows: simulated acquisitions with known endings, through the stack."""
