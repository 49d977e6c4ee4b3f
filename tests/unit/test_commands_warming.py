"""Answers are written before the question comes, and not more often than it does."""

from __future__ import annotations

from tcpvitals.commands.warming import Warming


def test_nobody_is_expected_who_came_once() -> None:
    warming: Warming[str] = Warming()
    warming.asked("text", 100)
    assert list(warming.due(101, 5)) == []


def test_who_comes_every_15_s_is_expected_at_the_refreshes_before() -> None:
    warming: Warming[str] = Warming()
    warming.asked("text", 100)
    warming.asked("text", 115)
    expected = [second for second in range(116, 131) if list(warming.due(second, 2))]
    assert expected == [126, 127, 128, 129, 130]


def test_each_question_is_expected_for_itself() -> None:
    warming: Warming[str] = Warming()
    for second in (0, 10, 20):
        warming.asked("text", second)
    for second in (0, 60):
        warming.asked("gzip", second)
    assert list(warming.due(62, 5)) == []
    assert list(warming.due(115, 5)) == ["gzip"]


def test_who_stays_away_is_forgotten() -> None:
    warming: Warming[str] = Warming()
    warming.asked("text", 0)
    warming.asked("text", 10)
    assert list(warming.due(40, 1)) == ["text"]
    assert list(warming.due(42, 1)) == []
    assert list(warming.due(19, 1)) == []
