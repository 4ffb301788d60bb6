"""Worker processes: how they are started and replaced, and what they tell each other."""
