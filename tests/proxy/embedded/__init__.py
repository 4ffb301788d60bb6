"""The embedded backend: its parts on their own, and real nodes."""
