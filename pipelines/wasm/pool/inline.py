"""Which UDFs are quick enough to be run on the event loop's own thread.

Handing a run to another thread and its response back costs several times what a short run takes. A
UDF that has shown many times in a row that it is done at once is therefore run where the request
is, under a deadline so short that nothing waits for it noticeably. The first time it is not done by
then it goes back to the threads, where the run is begun again, and has to show more runs than
before. What a UDF does has no effect but its response, so that a second beginning is safe.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Final

from pipelines.wasm.call import Call, Key

QUICK_SECONDS: Final = 0.002
"""A run that took no longer of its thread's processor time was quick."""
INLINE_MS: Final = 5
"""What a run on the event loop's thread may take."""
SLICE_SECONDS: Final = 0.005
"""How long runs there, one after the other, may hold the event loop before others get a turn."""
INLINE_BYTES: Final = 64 * 1024
"""What it may be given."""
_WHOLE_FACTOR: Final = 4
"""Of a call whose UDF is given only a part, this much more may be read and written beside it."""
PROOF: Final = 20
"""Quick runs in a row before the first one there, and how many more than needed a slower one that
ended by itself costs."""
SPARE: Final = 2 * PROOF
"""So many more than needed are counted: what a few slower runs may use up."""
LONGEST_PROOF: Final = 100_000
SOUND_LOADS: Final = 100
"""How many loads in a row have to end in time after one that did not, before others count on it."""
_REMEMBERED: Final = 10_000
_NONE: Final = (0, False)


class Paces:
    """How quick each UDF was of late; those not run for longest are forgotten.

    Quick runs of one UDF with some parameters are proof for its first ones with others, as most
    pipelines that share a UDF differ in a word or a number. A slow one begins the proof anew for
    those still to come.
    """

    def __init__(self) -> None:
        self._known: OrderedDict[Key, list[int]] = OrderedDict()
        # by digest: quick runs in a row, with whatever parameters
        self._packages: OrderedDict[str, int] = OrderedDict()
        # overruns in a row, and whether the next run gives way
        self._runaways: OrderedDict[Key, tuple[int, bool]] = OrderedDict()
        # by key: sound loads still to be seen
        self._doubtful: OrderedDict[Key, int] = OrderedDict()
        # by key: runs whose processor time is still to be looked at
        self._watched: OrderedDict[Key, int] = OrderedDict()

    def is_quick(self, key: Key) -> bool:
        """Whether its next run may be on the event loop's thread."""
        return (known := self._known.get(key)) is not None and known[0] >= known[1]

    def is_watched(self, key: Key) -> bool:
        """Whether the processor time of its next run has to be known."""
        return key in self._watched

    def watch(self, key: Key) -> None:
        """A run took long by the clock on the wall, which says nothing of the UDF on a busy
        machine: have the processor time of the next ones looked at, which takes a system call.
        """
        self._watched[key] = PROOF
        if len(self._watched) > _REMEMBERED:
            self._watched.popitem(last=False)

    def ended(self, key: Key, seconds: float, worked: float | None) -> None:
        """A run ended by itself: after so long by the wall, and so much processor time if known."""
        if worked is None and seconds > QUICK_SECONDS:
            self._runaways.pop(key, None)
            self.watch(key)
            self._begin(key)
            return
        if worked is not None and (left := self._watched.pop(key, 0)) > 1:
            self._watched[key] = left - 1
        self.ran(key, seconds if worked is None else worked)

    def ran(self, key: Key, seconds: float) -> None:
        """A run ended by itself after so much processor time."""
        if self._runaways:
            self._runaways.pop(key, None)
        known = self._known.get(key) or self._begin(key)
        quick, needed = known
        if seconds <= QUICK_SECONDS:
            known[0] = min(quick + 1, needed + SPARE)
            if quick < PROOF:
                self._of_package(key[0], self._packages.get(key[0], 0) + 1)
        else:
            # One in many takes longer without being at fault, as when the guest collects garbage.
            known[0] = quick - PROOF if quick >= needed + PROOF else 0
            self._known.move_to_end(key)
            if not known[0]:
                self._of_package(key[0], 0)

    def _begin(self, key: Key) -> list[int]:
        """What is known of a UDF, from its first run on."""
        known = self._known.setdefault(key, [self._packages.get(key[0], 0), PROOF])
        if len(self._known) > _REMEMBERED:
            self._known.popitem(last=False)
        return known

    def is_new(self, key: Key) -> bool:
        """Whether no run of it has ended by itself yet."""
        return key not in self._known

    def overruns(self, key: Key) -> int:
        """How many runs in a row passed their deadlines."""
        return self._runaways.get(key, _NONE)[0]

    def goes_last(self, key: Key) -> bool:
        """Whether its next run is to have only what others leave of the processors."""
        return self._runaways.get(key, _NONE)[1]

    def timed_out(self, key: Key, *, starved: bool = False) -> None:
        """A run passed its deadline on a thread; `starved` while it gave way, for want of time.

        The run after a starved one does not give way, so that each UDF can show that it is sound.
        """
        self._runaways[key] = self.overruns(key) + 1, not starved
        if known := self._known.get(key):
            known[0] = 0
        if len(self._runaways) > _REMEMBERED:
            self._runaways.popitem(last=False)

    def loads_badly(self, key: Key) -> bool:
        """Whether one of its last loads passed its deadline, so that the next one gives way."""
        return key in self._doubtful

    def loaded(self, key: Key) -> None:
        """It was loaded in time."""
        if (left := self._doubtful.get(key)) is not None:
            if left > 1:
                self._doubtful[key] = left - 1
            else:
                self._doubtful.pop(key, None)

    def load_timed_out(self, key: Key) -> None:
        """A load passed its deadline. Any thread may call it, as the one above."""
        self._doubtful[key] = SOUND_LOADS
        if len(self._doubtful) > _REMEMBERED:
            self._doubtful.popitem(last=False)

    def was_slow(self, key: Key, seconds: float) -> None:
        """A run on the event loop's thread passed its deadline after so much processor time.

        Twice the proof from now on. One that was given too little of a processor shows nothing: on
        a busy machine the threads, where the proof would begin anew, are slower still.
        """
        if seconds <= QUICK_SECONDS:
            return
        proof = self._known.get(key, [0, PROOF])[1]
        self._known[key] = [0, min(proof * 2, LONGEST_PROOF)]
        self._of_package(key[0], 0)

    def _of_package(self, digest: str, quick: int) -> None:
        self._packages[digest] = quick
        if len(self._packages) > _REMEMBERED:
            self._packages.popitem(last=False)


def is_small(call: Call) -> bool:
    """Whether a call's input is small enough for the event loop's thread."""
    most = INLINE_BYTES if call.projection is None else INLINE_BYTES * _WHOLE_FACTOR
    return len(call.payload) + len(call.request or "") <= most
