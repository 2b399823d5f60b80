"""The governance centre (综治中心): takes events in, makes cases of them, and follows these to the end."""
