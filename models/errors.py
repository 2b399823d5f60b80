"""What can go wrong with a model. Messages name the file, the key and the cure."""


class ModelError(Exception):
    """A model cannot be used."""


class ManifestError(ModelError, ValueError):
    """A manifest is unreadable, incomplete or contradicts itself, or a name is unknown."""


class IntegrityError(ModelError):
    """A model file is missing, or is not the one its manifest vouches for."""


class ProviderError(ModelError, ValueError):
    """A wanted execution provider is not available on this machine."""


class SessionError(ModelError):
    """ONNX Runtime refuses the model, or the model does not fit its manifest."""
