"""What the product reaches, measured beside the alternatives in one run."""
