"""What is joined to a leg's sound: what it hears, who records it, whom it talks with.

All of it in the pjsua2 thread.  A re-INVITE gives the leg another slot of the bridge, where nothing is
joined: so the joints are kept here and made anew.  A slot that is removed takes its joints with it.
"""

from __future__ import annotations

import contextlib

import pjsua2 as pj


class Mix:
    """The joints of one leg."""

    def __init__(self) -> None:
        self._sound: pj.AudioMedia | None = None
        """The leg's slot; None while it has none."""
        self._held = False
        """By us: it is to hear nothing."""
        self._sources: list[pj.AudioMedia] = []
        self._sinks: list[pj.AudioMedia] = []
        self._whole_sinks: list[pj.AudioMedia] = []
        """Those of the sinks that also get what the leg hears."""
        self._peers: list[Mix] = []

    def moved(self, sound: pj.AudioMedia | None, *, held: bool) -> None:
        """The leg's sound has this slot from now on."""
        self._sound = sound
        if held and not self._held:
            self._silence()
        self._held = held
        self._join()

    def end(self) -> None:
        """The leg is over: nothing is joined to it any more."""
        for peer in self._peers:
            peer._peers.remove(self)
        self._peers.clear()
        self._sound = None

    def _join(self) -> None:
        """Makes all joints; those that exist already stay as they are."""
        for sink in self._sinks:
            self._feed(sink)
        for source in self._sources:
            self._let_hear(source)
        for peer in self._peers:
            if peer._sound is not None:
                self._let_hear(peer._sound)
            if self._sound is not None:
                peer._let_hear(self._sound)

    def _let_hear(self, source: pj.AudioMedia) -> None:
        if self._held:
            return
        if self._sound is not None:
            source.startTransmit(self._sound)
        for sink in self._whole_sinks:
            source.startTransmit(sink)

    def _feed(self, sink: pj.AudioMedia) -> None:
        if self._sound is not None:
            self._sound.startTransmit(sink)

    def _silence(self) -> None:
        """What the leg heard so far it hears no longer."""
        for source in [*self._sources, *(peer._sound for peer in self._peers if peer._sound is not None)]:
            self._mute(source)

    def _mute(self, source: pj.AudioMedia) -> None:
        for ear in [*self._whole_sinks, *([] if self._sound is None else [self._sound])]:
            # Two that are not joined are as good.
            with contextlib.suppress(pj.Error):
                source.stopTransmit(ear)

    def add_source(self, source: pj.AudioMedia) -> None:
        """A file or tone that the leg hears from now on."""
        self._sources.append(source)
        self._let_hear(source)

    def drop_source(self, source: pj.AudioMedia) -> None:
        """The leg hears it no longer, and it will be destroyed."""
        if source in self._sources:
            self._sources.remove(source)
            self._mute(source)

    def add_sink(self, sink: pj.AudioMedia, *, whole: bool) -> None:
        """What gets what the leg says from now on; `whole`: and what it hears."""
        self._sinks.append(sink)
        if whole:
            self._whole_sinks.append(sink)
        self._join()

    def drop_sink(self, sink: pj.AudioMedia) -> None:
        """The sink will be destroyed."""
        for sinks in (self._sinks, self._whole_sinks):
            if sink in sinks:
                sinks.remove(sink)

    def add_peer(self, peer: Mix) -> None:
        """Both hear each other from now on."""
        if peer not in self._peers:
            self._peers.append(peer)
            peer._peers.append(self)
        self._join()
