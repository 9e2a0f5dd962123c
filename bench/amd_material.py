"""Answered calls to judge an answering machine detector by, made by the speech engine.

Every text is spoken by a male and a female voice at three speeds, and then answered in several ways: a
moment of silence first, a level, a noise behind it, through A-law or mu-law.  Chance has a fixed seed;
what differs from run to run is the little noise that espeak-ng puts into each utterance.
"""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np

from callflows.model import Utterance, Words
from callflows.ports import Answerer
from tests.audio import RATE, Samples, read_wav, silence, through_g711, tone
from voice.speech.espeak import EspeakEngine

SECONDS = 9.0
"""Length of each call."""

UNSEEN = ("pt-BR", "sv-SE", "cs-CZ")
"""Languages that nobody listened to when the detector's thresholds were set."""

HELLOS = {
    "en-GB": ("Hello?", "Yes, Jan speaking.", "Hello, who is this?", "Jan Smith."),
    "en-US": ("Hello?", "Hi, this is Mary.", "Yeah?", "Good morning, Mary speaking."),
    "nl-NL": ("Hallo?", "Met Jan de Vries.", "Ja, goedemorgen, met Jan.", "Jan."),
    "de-DE": ("Hallo?", "Müller.", "Ja, guten Tag, Müller hier.", "Ja bitte?"),
    "fr-FR": ("Allô?", "Oui, bonjour.", "Oui, allô, Marie à l'appareil.", "Oui?"),
    "es-ES": ("¿Diga?", "Sí, ¿quién es?", "Hola, buenos días.", "¿Sí?"),
    "it-IT": ("Pronto?", "Sì, chi parla?", "Pronto, sono Marco.", "Sì?"),
    "pl-PL": ("Halo?", "Tak, słucham?", "Dzień dobry, Kowalski, słucham.", "Słucham?"),
    "pt-BR": ("Alô?", "Sim, quem fala?", "Bom dia, aqui é a Maria.", "Oi?"),
    "sv-SE": ("Hallå?", "Ja, det är Erik.", "Erik Svensson.", "Hej, vem är det?"),
    "cs-CZ": ("Haló?", "Ano, prosím?", "Dobrý den, u telefonu Novák.", "Prosím?"),
}
"""How people answer, by language."""

DESKS = {
    "en-GB": "Good morning, Acme limited, you are speaking with Jan, how may I help you?",
    "en-US": "Thank you for calling Acme, my name is Mary, what can I do for you?",
    "nl-NL": "Goedemorgen, Acme Nederland, u spreekt met Jan, waarmee kan ik u helpen?",
    "de-DE": "Guten Tag, Acme Deutschland, mein Name ist Müller, was kann ich für Sie tun?",
    "fr-FR": "Acme France bonjour, Marie à votre service, que puis-je faire pour vous?",
    "es-ES": "Acme, buenos días, le atiende María, ¿en qué puedo ayudarle?",
    "it-IT": "Acme Italia buongiorno, sono Marco, come posso aiutarla?",
    "pl-PL": "Dzień dobry, firma Acme, mówi Jan Kowalski, w czym mogę pomóc?",
    "pt-BR": "Acme Brasil, bom dia, meu nome é Maria, em que posso ajudar?",
    "sv-SE": "Välkommen till Acme, du talar med Erik, vad kan jag hjälpa dig med?",
    "cs-CZ": "Dobrý den, firma Acme, u telefonu Novák, jak vám mohu pomoci?",
}
"""How people answer whose job it is: as long as a short machine's greeting."""

GREETINGS = {
    "en-GB": (
        "Hello, you've reached Jan Smith. I can't come to the phone right now. Please leave a message after"
        " the tone, and I will call you back.",
        "Hi, this is Jan. Leave a message.",
        "The person you are calling is not available. Please leave your message after the tone.",
    ),
    "en-US": (
        "Your call has been forwarded to an automatic voice message system. At the tone, please record your"
        " message.",
        "Hey, it's Mary, you know what to do.",
        "You have reached the office of Acme. We are closed now. Our business hours are nine to five.",
    ),
    "nl-NL": (
        "Dit is de voicemail van Jan de Vries. Ik kan u nu niet te woord staan. Spreek een bericht in na de"
        " toon.",
        "Hoi, met Jan, spreek maar iets in na de piep.",
        "De persoon die u belt is op dit moment niet bereikbaar. U kunt een bericht achterlaten na de toon.",
    ),
    "de-DE": (
        "Guten Tag, Sie haben den Anschluss von Familie Müller erreicht. Wir sind gerade nicht zu Hause."
        " Bitte hinterlassen Sie eine Nachricht nach dem Signalton.",
        "Hallo, hier ist die Mailbox von Thomas, sprich mir was drauf.",
        "Der gewünschte Gesprächspartner ist zur Zeit nicht erreichbar. Bitte versuchen Sie es später.",
    ),
    "fr-FR": (
        "Bonjour, vous êtes bien chez Marie Dupont. Je ne suis pas disponible pour le moment. Laissez-moi un"
        " message après le bip sonore.",
        "Salut, c'est Marie, laisse un message.",
        "Votre correspondant n'est pas joignable. Veuillez rappeler ultérieurement.",
    ),
    "es-ES": (
        "Hola, ha llamado a casa de María. Ahora no podemos atenderle. Por favor, deje su mensaje después de"
        " la señal.",
        "Hola, soy María, deja tu mensaje.",
        "El teléfono al que llama está apagado o fuera de cobertura en este momento.",
    ),
    "it-IT": (
        "Risponde la segreteria telefonica di Marco Rossi. In questo momento non posso rispondere. Lasciate"
        " un messaggio dopo il segnale acustico.",
        "Ciao, sono Marco, lascia un messaggio.",
        "Il cliente da lei chiamato non è al momento raggiungibile. La preghiamo di richiamare più tardi.",
    ),
    "pl-PL": (
        "Dzień dobry, tu automatyczna sekretarka. Nie mogę teraz odebrać telefonu. Proszę zostawić wiadomość"
        " po sygnale.",
        "Cześć, tu Jan, zostaw wiadomość.",
        "Abonent jest czasowo niedostępny. Prosimy spróbować później.",
    ),
    "pt-BR": (
        "Olá, você ligou para a Maria. No momento não posso atender. Por favor, deixe o seu recado após o"
        " sinal.",
        "Oi, é a Maria, deixe um recado.",
        "O número chamado está desligado ou fora da área de cobertura. Tente mais tarde.",
    ),
    "sv-SE": (
        "Hej, du har kommit till Erik Svensson. Jag kan inte svara just nu. Lämna ett"
        " meddelande efter tonen.",
        "Hej, det är Erik, säg något efter pipet.",
        "Abonnenten kan inte nås för tillfället. Var god försök igen senare.",
    ),
    "cs-CZ": (
        "Dobrý den, dovolali jste se do hlasové schránky. Teď nemohu přijmout váš hovor. Zanechte prosím"
        " vzkaz po zaznění tónu.",
        "Ahoj, tady Petr, nech mi vzkaz.",
        "Volaný účastník není dostupný. Zavolejte prosím později.",
    ),
}
"""What machines say, by language: a usual one, a very short one, an operator's."""

BEEPS = ((1000.0, 0.4), (440.0, 0.6), (800.0, 0.25), (1400.0, 0.2), (620.0, 1.0))
"""Hertz and seconds."""


class Behind(StrEnum):
    """The noise behind the voice."""

    NOTHING = "no noise"
    LINE = "line noise"
    OFFICE = "office"
    STREET = "street"


@dataclass(frozen=True, slots=True, kw_only=True)
class AnsweredCall:
    """What is heard from the answer on, and who it is in truth."""

    truth: Answerer
    kind: str
    """``hello``, ``desk``, ``greeting``, ``greeting and beep``, ``nothing said``."""
    language: str
    behind: Behind
    speech_ends: float
    """When the greeting with its beep is over, in seconds."""
    samples: Samples

    def pcm(self) -> bytes:
        """16-bit mono."""
        return (np.clip(self.samples, -1, 1) * 32767).round().astype("<i2").tobytes()


async def calls(*, variants: int, seed: int = 1) -> AsyncIterator[AnsweredCall]:
    """Every text, `variants` times; then calls in which nothing is said."""
    chance = np.random.default_rng(seed)
    engine = EspeakEngine()
    await engine.start()
    try:
        with tempfile.TemporaryDirectory() as directory:
            mouth = _Mouth(engine, Path(directory) / "said.wav")
            murmur = await _murmur(mouth, chance)
            for language, texts in _texts():
                for kind, text in texts:
                    for number in range(variants):
                        voice = ("male", "female")[number % 2]
                        said = await mouth.say(language, voice, text, (1.0, 1.2, 0.85)[number % 3])
                        yield _answered(kind, language, said, chance, murmur)
            for _ in range(variants * 4):
                yield _answered("nothing said", "-", silence(0), chance, murmur)
    finally:
        await engine.close()


def _texts() -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (
            language,
            [("hello", text) for text in HELLOS[language]]
            + [("desk", DESKS[language])]
            + [(kind, text) for text in GREETINGS[language] for kind in ("greeting", "greeting and beep")],
        )
        for language in HELLOS
    ]


@dataclass(frozen=True, slots=True)
class _Mouth:
    engine: EspeakEngine
    path: Path

    async def say(self, language: str, voice: str, text: str, speed: float) -> Samples:
        parts = (Words(text=text, rate=speed),)
        await self.engine.speak(
            Utterance(language=language, voice=voice, parts=parts), sample_rate=RATE, to=self.path
        )
        samples = read_wav(self.path)
        loud = np.flatnonzero(np.abs(samples) > 0.01)
        return samples[loud[0] : loud[-1] + 1]


async def _murmur(mouth: _Mouth, chance: np.random.Generator) -> Samples:
    """Six people who talk at once, far away: the noise of an office."""
    length = round(30 * RATE)
    sum_of_all = np.zeros(length)
    for number, (language, texts) in enumerate(GREETINGS.items()):
        said = await mouth.say(language, ("male", "female")[number % 2], " ".join(texts), 1.0)
        for _ in range(2):
            sum_of_all += np.roll(np.resize(said, length), int(chance.integers(length)))
    return np.asarray(sum_of_all / np.sqrt(np.mean(np.square(sum_of_all))), np.float64)


def _answered(
    kind: str, language: str, said: Samples, chance: np.random.Generator, murmur: Samples
) -> AnsweredCall:
    before = silence(chance.uniform(0.1, 1.2))
    parts = [before, said]
    if kind == "greeting and beep":
        hertz, seconds = BEEPS[int(chance.integers(len(BEEPS)))]
        parts += [silence(chance.uniform(0.2, 1.2)), tone(hertz, seconds, level=0.3)]
    speech = np.concatenate(parts)
    ends = speech.size / RATE
    samples = np.resize(np.concatenate([speech, silence(SECONDS)]), max(round(SECONDS * RATE), speech.size))
    samples[speech.size :] = 0.0
    # Loud and faint telephones: the peak of the voice between -20 and -3 dBFS.
    peak = float(np.max(np.abs(samples))) or 1.0
    samples *= 10 ** (chance.uniform(-20, -3) / 20) / peak
    behind = list(Behind)[int(chance.integers(len(Behind)))]
    samples = samples + _noise(behind, samples.size, chance, murmur)
    return AnsweredCall(
        truth=_TRUTH[kind],
        kind=kind,
        language=language,
        behind=behind,
        speech_ends=ends,
        samples=through_g711(samples),
    )


_TRUTH = {
    "hello": Answerer.HUMAN,
    "desk": Answerer.HUMAN,
    "greeting": Answerer.MACHINE,
    "greeting and beep": Answerer.MACHINE,
    "nothing said": Answerer.UNSURE,
}


def _noise(behind: Behind, size: int, chance: np.random.Generator, murmur: Samples) -> Samples:
    """At -55 to -38 dBFS: a faint voice is then some 10 dB above it."""
    if behind is Behind.NOTHING:
        return np.zeros(size)
    if behind is Behind.LINE:
        shape = chance.standard_normal(size)
        level = chance.uniform(-60, -48)
    elif behind is Behind.OFFICE:
        shape = np.roll(np.resize(murmur, size), int(chance.integers(murmur.size)))
        level = chance.uniform(-55, -40)
    else:
        # Traffic: low frequencies that swell and fade.
        slow = np.convolve(chance.standard_normal(size + 40), np.ones(41) / np.sqrt(41), "valid")
        shape = slow * (1 + 0.6 * np.sin(2 * np.pi * chance.uniform(0.1, 0.4) * np.arange(size) / RATE))
        level = chance.uniform(-55, -42)
    return np.asarray(shape * 10 ** (level / 20), np.float64)
