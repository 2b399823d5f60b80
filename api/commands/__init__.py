"""The commands of `sharpeyes`, one module each. Thin: they read arguments, call, and show."""
