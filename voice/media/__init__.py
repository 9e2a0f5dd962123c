"""Audio and call legs.  `seam` says what the rest of the service sees; `pj` does it with pjsua2."""
