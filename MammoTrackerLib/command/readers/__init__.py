"""What readers decide about results, and how far two of them agree."""
