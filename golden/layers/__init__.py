"""What every layer of a quantized model does with real text."""
