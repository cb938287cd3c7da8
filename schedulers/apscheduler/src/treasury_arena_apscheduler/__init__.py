"""APScheduler for the arena: persistent jobs wake it, the core's slots decide what runs."""
