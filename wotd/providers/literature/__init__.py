"""Providers of literature."""
