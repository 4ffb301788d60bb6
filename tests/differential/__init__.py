"""Direct and through the proxy: no client can tell."""
