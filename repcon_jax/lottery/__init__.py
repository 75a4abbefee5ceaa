"""What is left when weights go: masks, criteria, distributions, schedules, structure."""
