"""Programs that use the official clients, run by the flows as processes of their own."""
