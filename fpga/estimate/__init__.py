"""Resources and speed of an accelerator before synthesis."""
