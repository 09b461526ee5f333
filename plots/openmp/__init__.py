"""Threads inside operators, between them, and processes instead."""
