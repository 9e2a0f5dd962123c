"""Text from recordings: an engine behind a Protocol, and the service that works through what was asked for.

The only home of pocketsphinx, which is optional (``pip install 'trunkflow[transcription]'``).
"""
