"""Alternatives for comparison, written in the style of their documentation."""
