"""Timers: in order, moved, stopped, and swept out."""

from __future__ import annotations

from voice.sip.deadlines import Deadlines


class Item:
    def __init__(self, name: str) -> None:
        self.name = name
        self.wanted: float | None = None
        self.queued: float | None = None


def started(deadlines: Deadlines[Item], name: str, when: float) -> Item:
    item = Item(name)
    item.wanted = when
    deadlines.changed(item)
    return item


def due(deadlines: Deadlines[Item], now: float) -> list[str]:
    found = []
    while (item := deadlines.due(now)) is not None:
        found.append(item.name)
    return found


def test_items_come_in_order_of_time_and_each_once() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    for name, when in (("c", 3), ("a", 1), ("b", 2), ("a2", 1)):
        started(deadlines, name, when)
    assert deadlines.next() == 1
    assert due(deadlines, 2.5) == ["a", "a2", "b"]
    assert due(deadlines, 2.5) == []
    assert due(deadlines, 3) == ["c"]
    assert deadlines.next() is None


def test_an_item_can_be_moved_both_ways() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    item = started(deadlines, "a", 5)
    item.wanted = 9
    deadlines.changed(item)
    assert due(deadlines, 6) == []
    item.wanted = 7
    deadlines.changed(item)
    assert due(deadlines, 8) == ["a"]
    assert due(deadlines, 100) == []


def test_a_stopped_item_never_comes_and_can_be_started_again() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    item = started(deadlines, "a", 5)
    deadlines.stop(item)
    assert due(deadlines, 6) == []
    item.wanted = 8
    deadlines.changed(item)
    assert due(deadlines, 8) == ["a"]


def test_items_stopped_long_before_their_time_are_swept_out() -> None:
    deadlines: Deadlines[Item] = Deadlines()
    kept = [started(deadlines, f"kept {number}", 14_400) for number in range(10)]
    for number in range(10_000):
        deadlines.stop(started(deadlines, str(number), 14_400 + number))
        assert len(deadlines) < 1_000
    assert len(due(deadlines, 20_000)) == len(kept)
