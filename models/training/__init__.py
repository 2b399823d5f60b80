"""How the density model was trained: PyTorch (the extra `training`), which the product never imports."""
