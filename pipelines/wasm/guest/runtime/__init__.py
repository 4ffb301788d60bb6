"""What stands around a UDF inside its sandbox: modules, surroundings, loading and running."""
