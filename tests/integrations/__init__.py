"""What shows a running program to others."""
