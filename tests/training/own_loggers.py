"""Loggers of another package, for the tests."""

HELD = []


class OwnLogger:
    """Keeps what it is told."""

    def __init__(self, colour, *, tags=(), folder=None):
        self.options = (colour, tags, folder)
        self.points, self.status, self.recipe = [], None, None
        HELD.append(self)

    def log_metrics(self, metrics, step):
        self.points.append((step, metrics))

    def log_hyperparams(self, recipe):
        self.recipe = recipe

    def finalize(self, status):
        self.status = status


class Bare:
    """The least that is a logger."""

    def __init__(self, **anything):
        self.anything, self.points = anything, []
        HELD.append(self)

    def log_metrics(self, metrics, step):
        self.points.append(step)


class NoLogger:
    """No logger."""


class Lacking:
    """A logger whose package is not there, as those of W&B and MLflow say it."""

    def __init__(self):
        raise ModuleNotFoundError("No module named 'wandb'")

    def log_metrics(self, metrics, step):
        raise AssertionError


class Refusing(Bare):
    """A logger that does not like its options."""

    def __init__(self, mode="online"):
        raise ValueError(f"mode must be online, not {mode}")
