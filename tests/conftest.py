"""What several files of tests ask for."""

import pytest

from scratchnet import trial


@pytest.fixture
def seen(monkeypatch):
    """`recorded`: the recordings that passed their trial; `replays`: how often one was replayed; `why`: what failed."""
    class Seen:
        recorded, replays, why = 0, 0, []

    def watched(*arguments):
        try:
            recorded = trial_itself(*arguments)
        except Exception as error:
            Seen.why = [*Seen.why, str(error)]
            raise
        Seen.recorded += 1

        def replayed(*batch):
            Seen.replays += 1
            return recorded(*batch)
        return replayed
    trial_itself = trial.trial
    monkeypatch.setattr(trial, "trial", watched)
    return Seen
