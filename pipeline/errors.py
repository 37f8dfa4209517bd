"""The few exceptions that callers catch. Every message is one sentence: what, where, what to do."""


class InputError(ValueError):
    """Seen by the person who supplied the input: a file, a setting or a name that cannot be used."""


class UnreachableError(InputError):
    """Seen by the person who asked for something of the network where there is no way to it."""


class WeightsError(InputError):
    """Seen by the person who chose a model: its files are missing, damaged or of a kind not accepted."""


class TrainingError(InputError):
    """Seen by the person whose run was given up because its loss or weights became useless while it trained."""


class StorageError(OSError):
    """Seen by the person whose disk is full or whose folder cannot be written."""


class Stopped(Exception):
    """Leaves work in the middle because its caller was asked to stop; what is done is kept."""
