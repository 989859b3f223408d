"""Lightning modules, objectives, schedules and callbacks of every training."""
