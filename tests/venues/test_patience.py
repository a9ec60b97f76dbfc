"""SilencePolicy: one connection at once, then the cadence of the cap, then rarer; never two within the cap."""

from __future__ import annotations

from service.venues.transport.silence_policy import MAX_PAUSE_MS, PATIENT_TRIES, Key, SilencePolicy

CAP_MS = 60_000
ADA: Key = ("ADA", "mark")
DOT: Key = ("DOT", "mark")


def test_the_first_failure_is_tried_at_once_the_second_gives_up() -> None:
    patience = SilencePolicy(CAP_MS)
    patience.failed(ADA, 0, 30_000, like_are_well=True)
    assert not patience.given_up(ADA)
    assert patience.due_ms(ADA) == 30_000
    patience.renewed(30_000)
    patience.failed(ADA, 31_000, 61_000, like_are_well=True)
    assert patience.given_up(ADA)
    assert patience.due_ms(ADA) == 91_000  # a cap after the opening of the connection that failed


def test_tries_get_rarer_only_where_its_like_are_well() -> None:
    for well, last in ((True, MAX_PAUSE_MS), (False, CAP_MS)):
        patience = SilencePolicy(CAP_MS)
        pauses = []
        for number in range(PATIENT_TRIES + 12):
            opened = number * 10_000_000
            patience.failed(ADA, opened, opened + 30_000, like_are_well=well)
            pauses.append(patience.due_ms(ADA) - opened)
        assert pauses[1:PATIENT_TRIES] == [CAP_MS] * (PATIENT_TRIES - 1)
        assert pauses == sorted(pauses)
        assert pauses[-1] == last


def test_one_renewal_per_cap_for_all_streams_together() -> None:
    patience = SilencePolicy(CAP_MS)
    patience.failed(ADA, 0, 30_000, like_are_well=True)
    patience.renewed(30_000)
    patience.failed(DOT, 0, 40_000, like_are_well=True)
    assert patience.due_ms(DOT) == 90_000


def test_recovery_forgets() -> None:
    patience = SilencePolicy(CAP_MS)
    for _ in range(9):
        patience.failed(ADA, 0, 30_000, like_are_well=True)
    patience.recovered(ADA)
    patience.recovered(ADA)
    assert patience.failures(ADA) == 0
    patience.failed(ADA, 0, 100_000, like_are_well=True)
    assert patience.due_ms(ADA) == 100_000
