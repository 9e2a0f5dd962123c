"""The media stack with pjsua2: the only package that imports it."""

from voice.media.pj.engine import PjEngine, probe_legs

__all__ = ["PjEngine", "probe_legs"]
