"""Who is alive, who is retired, and who is remembered."""

from __future__ import annotations

from tcpvitals.kernel.namespace_lives import Lives, Seen
from tcpvitals.model.namespaces import Netns

A, B, A_AGAIN = Netns(1, 10), Netns(2, 20), Netns(1, 11)
NOBODY = Seen(frozenset(), frozenset())


def look(
    lives: Lives,
    *counted: Netns,
    processes: tuple[Netns, ...] = (),
    mounted: tuple[int, ...] = (),
    held: tuple[Netns, ...] = (),
) -> set[Netns]:
    """Look once."""
    seen = Seen(frozenset(processes), frozenset(mounted))
    return lives.look(counted, seen, lambda: set(held))


def test_two_looks_in_a_row_without_a_sign_of_life_retire() -> None:
    lives = Lives()
    assert look(lives, A, B, processes=(B,)) == set()
    assert look(lives, A, B, processes=(B,)) == {A}
    assert (lives.gone, lives.retirements) == (1, {A: 1})


def test_a_sign_of_life_in_between_begins_anew() -> None:
    lives = Lives()
    look(lives, A)
    assert look(lives, A, processes=(A,)) == set()
    assert look(lives, A) == set()
    assert look(lives, A) == {A}


def test_a_mount_and_a_socket_keep_a_namespace() -> None:
    lives = Lives()
    for _ in range(5):
        assert look(lives, A, B, mounted=(1,), held=(B,)) == set()
    assert lives.gone == 0


def test_whether_a_socket_holds_it_is_asked_only_when_it_matters() -> None:
    def unasked() -> set[Netns]:
        raise AssertionError

    lives = Lives()
    for _ in range(3):
        assert lives.look([A], Seen(frozenset({A}), frozenset()), unasked) == set()
    assert lives.look([A], NOBODY, unasked) == set()


def test_the_next_one_with_the_inode_number_has_the_mount_and_the_one_before_is_dead() -> None:
    lives = Lives()
    look(lives, A, mounted=(1,))
    assert look(lives, A, A_AGAIN, mounted=(1,), held=(A,)) == set()
    assert look(lives, A, A_AGAIN, mounted=(1,), held=(A,)) == {A}
    assert (lives.gone, lives.retirements) == (1, {})


def test_one_that_is_known_to_be_dead_is_not_remembered() -> None:
    lives = Lives()
    look(lives, A)
    look(lives, A)
    assert lives.retirements == {A: 1}
    look(lives, processes=(A_AGAIN,))
    assert lives.retirements == {}


def test_one_that_comes_back_and_goes_again_is_one_that_is_gone() -> None:
    lives = Lives()
    for _ in range(2):
        look(lives, A, processes=(A,))
        look(lives, A)
        assert look(lives, A) == {A}
        look(lives)
    assert (lives.gone, lives.retirements) == (1, {A: 2})


def test_of_16600_that_came_and_went_4096_are_remembered_at_most() -> None:
    lives = Lives()
    for first in range(0, 16_600, 100):
        some = [Netns(first + number, 1) for number in range(100)]
        look(lives, *some)
        assert look(lives, *some) == set(some)
    assert (lives.gone, len(lives.retirements)) == (16_600, 4096)
