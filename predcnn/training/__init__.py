"""Training of any predictor: the LightningModule, objectives, schedules and callbacks."""
