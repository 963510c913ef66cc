"""The matched multiply-accumulate array that the accelerator is compared with."""
