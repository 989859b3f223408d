"""What the scripts call: one function per command, each taking the composed configuration."""
